"""Process-wide settings that many agents want, applied once by the application."""

import gc

GARBAGE_THRESHOLDS = (20_000, 10, 50)
"""Allocations before a collection, and collections before one of the older generations (CPython: 700, 10, 10)."""


def settle() -> None:
    """Once everything is loaded: leaves what is there out of garbage collection for good, and collects less often.

    An agent that arrives is some hundred objects that stay: with CPython's own thresholds, each few of them have those
    that came before walked through again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
