"""Upriver: ask the nearest agent; it asks upstream when it is unsure."""
