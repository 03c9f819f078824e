"""Putting assigned pairs into slots: judged, fetched, verified, warmed, activated, and given back if need be."""
