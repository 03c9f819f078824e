"""What answers a question, whatever transport brought it."""
