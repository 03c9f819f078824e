"""Signing what agents may run, by The Update Framework."""
