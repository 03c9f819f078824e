"""Blobs as agents fetch them from the control plane: versions' files, deltas made on demand, signed metadata."""
