"""Heads of regions and of all regions together: what is tried where, whether it may answer, and what a region keeps.

Pure: what is pooled, what agents report and the time are arguments.
"""
