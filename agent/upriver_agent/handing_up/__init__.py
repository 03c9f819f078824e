"""Lessons whose inputs may be kept, handed up agent by agent: what waits here, where it goes, what comes from below."""
