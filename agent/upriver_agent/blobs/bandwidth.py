"""A token bucket for bytes; time is an argument."""

import threading


class Bandwidth:
    """At most `bytes_per_s` in the long run, and a second's worth at once; 0 is no bound. For several threads."""

    def __init__(self, bytes_per_s: float) -> None:
        if bytes_per_s < 0:
            raise ValueError(f"bytes_per_s {bytes_per_s}: expected 0 or more")
        self._rate = bytes_per_s
        self._paid_until = 0.0
        self._lock = threading.Lock()

    def take(self, count: int, now: float) -> float:
        """Takes the bytes and gives the seconds to wait until they may be used."""
        if not self._rate:
            return 0.0
        with self._lock:
            self._paid_until = max(self._paid_until, now - 1.0) + count / self._rate
            return max(0.0, self._paid_until - now)
