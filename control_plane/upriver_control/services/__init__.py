"""What is served: one module for each service."""
