"""Blobs by digest: kept within a budget, fetched from whoever is nearest, and passed on to agents below."""
