"""Bounded admission: a fixed number of requests inside at once, and none while draining.

Tokens live in a deque, whose pop and append are atomic in CPython: entering and leaving take no lock.
"""

import threading
from collections import deque

from upriver.errors import Draining, QueueFull


class Admission:
    """Admits at most `limit` requests at a time."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit {limit}: expected at least 1")
        self.limit = limit
        self._tokens: deque[None] = deque([None] * limit)
        self._draining = False
        self._changed = threading.Condition()

    def enter(self) -> None:
        """Takes a place; raises QueueFull at once when there is none and Draining while draining."""
        if self._draining:
            raise Draining("the agent is draining: ask another one")
        try:
            self._tokens.pop()
        except IndexError:
            raise QueueFull(f"{self.limit} requests are being answered already; try again later") from None

    def leave(self) -> None:
        """Gives a place back."""
        self._tokens.append(None)
        if self._draining:
            with self._changed:
                self._changed.notify_all()

    @property
    def inflight(self) -> int:
        """Requests inside now."""
        return self.limit - len(self._tokens)

    @property
    def draining(self) -> bool:
        """Whether new requests are refused because the agent is going away."""
        return self._draining

    def drain(self, timeout_s: float) -> bool:
        """Refuses newcomers and waits for those inside; False when some are left after `timeout_s`."""
        self._draining = True
        with self._changed:
            return self._changed.wait_for(lambda: self.inflight == 0, timeout_s)
