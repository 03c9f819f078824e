"""What may be run: versions and policies that the pinned root vouches for, by The Update Framework."""
