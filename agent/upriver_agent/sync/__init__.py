"""Staying of one mind with the control plane: one stream, dialled from here."""
