"""Whole models, trained from lessons: what user code is given, the work in a process of its own, what becomes of it."""
