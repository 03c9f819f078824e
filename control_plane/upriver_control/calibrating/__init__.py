"""Calibrations as work: children that answer and calculate, and policies that are signed and kept."""
