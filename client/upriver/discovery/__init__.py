"""Who serves models where: one port, and its implementations."""
