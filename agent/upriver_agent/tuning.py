"""Process-wide settings that serving wants, applied once by the application."""

import ctypes
import gc
import sys

SWITCH_INTERVAL_S = 0.001
"""A thread that comes back from inference waits at most this long for the interpreter lock (the default is 5 ms)."""
GARBAGE_THRESHOLDS = (20_000, 10, 50)
"""Allocations before a collection, and collections before one of the older generations (CPython: 700, 10, 10)."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP_BYTES = 64 << 20


def tune() -> None:
    """Sets the switch interval, and tells glibc to keep freed buffers instead of giving them back every request."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return  # not glibc: its allocator has no such thresholds
    mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


def settle() -> None:
    """Once everything is loaded: leaves what is there out of garbage collection for good, and collects less often.

    Also for what is loaded later, in the background: spans' exporter. Requests make few cycles, but walking the
    modules' objects again and again cost about a fifth of an answer's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
