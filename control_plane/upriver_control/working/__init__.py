"""What works on jobs of any kind: each in a process of its own, held by a lease."""
