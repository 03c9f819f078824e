"""Bounded admission: so many requests inside at once, the last places shared out fairly, and none while draining.

Tokens live in a deque, whose pop and append are atomic in CPython: entering and leaving take no lock while there is
room. Who calls matters, and is looked up, only when there is little left.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from upriver.errors import Draining, QueueFull
from upriver_agent.resilience.counters import AdmissionCounters
from upriver_agent.resilience.fairness import FairnessRules, ScarcePlaces
from upriver_agent.resilience.sources import SourceRules, Sources


class Admission:
    """Admits at most `limit` requests at a time. `clock` gives seconds."""

    def __init__(
        self,
        limit: int,
        fairness: FairnessRules | None = None,
        sources: SourceRules | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit {limit}: expected at least 1")
        self.limit = limit
        self.counters = AdmissionCounters()
        scarce = min(limit - 1, int(limit * (fairness or FairnessRules()).scarce_share))
        self._tokens: deque[None] = deque([None] * (limit - scarce))
        self._scarce = ScarcePlaces(scarce)
        self._sources = Sources(sources or SourceRules())
        self._clock = clock
        self._lock = threading.Lock()
        self._draining = False
        self._changed = threading.Condition()

    def enter(self) -> bool:
        """Takes a place; False when those that are left are shared out by caller, with `enter_as`.

        Raises Draining while draining.
        """
        if self._draining:
            raise Draining("the agent is draining: ask another one")
        try:
            self._tokens.pop()
        except IndexError:
            return False
        return True

    def enter_as(self, caller: str) -> str | None:
        """Takes a place after `enter` gave none; gives what `leave` wants back.

        Raises QueueFull at once when there is none, or the caller has its share of the last ones.
        """
        with self._lock:
            try:
                self._tokens.pop()
            except IndexError:
                if self._scarce.enter(caller):
                    return caller
                held, free = self._scarce.held(caller), self._scarce.free
                self.counters.over_share += free > 0
                self.counters.full += free == 0
            else:
                return None
        if free:
            raise QueueFull(f"{held} of the last places are {caller}'s already, the other {free} are for others")
        raise QueueFull(f"{self.limit} requests are being answered already; try again later")

    def leave(self, scarce: str | None = None) -> None:
        """Gives a place back; `scarce` is what `enter_as` gave."""
        if scarce is None:
            self._tokens.append(None)
        else:
            with self._lock:
                self._scarce.leave(scarce)
        if self._draining:
            with self._changed:
                self._changed.notify_all()

    def spare(self) -> None:
        """Raises QueueFull when more than half of all places are taken: what can wait is refused first."""
        if 2 * self.inflight > self.limit:
            raise QueueFull("audits have to wait while callers need the room")

    def escalated(self, source: str, rows: int) -> None:
        """Counts what the agent `source` escalates to us; raises QueueFull when that is more than it may."""
        if not self._sources.limited:
            return
        with self._lock:
            allowed = self._sources.allow(source, rows, self._clock())
            self.counters.sources_limited += 0 if allowed else rows
        if not allowed:
            raise QueueFull(f"agent {source!r} escalates faster than it may; try again later")

    @property
    def inflight(self) -> int:
        """Requests inside now."""
        return self.limit - len(self._tokens) - self._scarce.free

    @property
    def draining(self) -> bool:
        """Whether new requests are refused because the agent is going away."""
        return self._draining

    def drain(self, timeout_s: float) -> bool:
        """Refuses newcomers and waits for those inside; False when some are left after `timeout_s`."""
        self._draining = True
        with self._changed:
            return self._changed.wait_for(lambda: self.inflight == 0, timeout_s)
