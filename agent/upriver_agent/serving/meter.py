"""What is measured of a model's answers while they are made: only where somebody has metrics fetched.

A local answer adds to a list that its thread alone writes: no lock, and nothing is allocated after the thread's first.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from upriver.scores import Floats
from upriver_agent.merge import RowFacts

STAGE_BOUNDS: Final = tuple(2.0**power / 1e9 for power in range(16, 35))
"""Seconds: 2^16 ns (66 us) and its doubles up to 17 s; what is longer is in the bucket after the last one."""
CONFIDENCE_BOUNDS: Final = tuple(step / 20 for step in range(1, 20))
Counted = tuple[tuple[int, ...], float]
"""Counts by bucket, and the sum of what was counted."""
_STAGES: Final = len(STAGE_BOUNDS) + 1
_CONFIDENCES: Final = len(CONFIDENCE_BOUNDS) + 1
_MAX_OUTCOMES: Final = 128
_BITS: Final = 64
"""A local answer's time is counted by how many bits it has, as nanoseconds: no bounds are looked at meanwhile."""
_NANOSECONDS: Final = _BITS
_CONFIDENCE: Final = _BITS + 1
_CERTAIN: Final = _CONFIDENCE + _CONFIDENCES
_WIDTH: Final = _CERTAIN + 1
"""A thread's list: answers by bits, their nanoseconds, rows by confidence, the sum of the confidences."""


class Sums:
    """Numbers that many threads add up, each in a list of its own."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.own = threading.local()
        """`numbers` is what the calling thread adds to, and nobody else; it has none before it has joined."""
        self._ended: list[float] = [0] * width
        """Of threads that have ended."""
        self._alive: list[tuple[threading.Thread, list[float]]] = []
        self._joining = threading.Lock()

    def joined(self) -> list[float]:
        """Gives the calling thread its list: `own.numbers` from now on."""
        mine: list[float] = [0] * self._width
        self.own.numbers = mine
        with self._joining:
            self._fold()
            self._alive.append((threading.current_thread(), mine))
        return mine

    def totals(self) -> list[float]:
        """The sums over all threads; they may be of a moment apart."""
        with self._joining:
            self._fold()
            lists = [self._ended, *(mine for _, mine in self._alive)]
        return [sum(numbers) for numbers in zip(*lists, strict=True)]

    def _fold(self) -> None:
        """Leaves no lists of threads that have ended: the executor ends those that it has to spare. With the lock."""
        alive: list[tuple[threading.Thread, list[float]]] = []
        ended: list[list[float]] = []
        for thread, mine in self._alive:
            if thread.is_alive():
                alive.append((thread, mine))
            else:
                ended.append(mine)
        if ended:
            # A new list: who sums up just now has the old one beside the lists that go into this.
            self._ended = [sum(numbers) for numbers in zip(self._ended, *ended, strict=True)]
            self._alive = alive


class Meter:
    """One model's, whichever version answers."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.slowest: dict[int, tuple[str, float, float]] = {}
        """By bucket of `total`: the trace, the seconds and the time of the newest question that has a trace."""
        self._local = Sums(_WIDTH)
        # Of what went on: gRPC's own threads are new for every burst of calls, so these are under a lock.
        self._counting = threading.Lock()
        self._slow_ns = [0] * (_STAGES + 1)
        self._escalate_ns = [0] * (_STAGES + 1)
        self._slow_confidence = [0.0] * (_CONFIDENCES + 1)
        self._outcomes: Counter[tuple[str, str]] = Counter()

    def local(self, nanoseconds: int, confidence: Floats) -> None:
        """An answer was given here and went nowhere else."""
        try:
            mine: list[float] = self._local.own.numbers
        except AttributeError:
            mine = self._local.joined()
        mine[(nanoseconds - 1).bit_length()] += 1
        mine[_NANOSECONDS] += nanoseconds
        for score in confidence.tolist():
            mine[_CONFIDENCE + bisect_left(CONFIDENCE_BOUNDS, score)] += 1
            if 0.0 <= score <= 1.0:
                mine[_CERTAIN] += score

    def slow(
        self, nanoseconds: int, escalate_ns: int, confidence: Floats, rows: Sequence[RowFacts], trace: str, now: float
    ) -> None:
        """An answer was given after more was done than that; `escalate_ns` is 0 when no upstream was asked."""
        bucket = stage_bucket(nanoseconds)
        if trace:
            self.slowest[bucket] = (trace, nanoseconds / 1e9, now)
        with self._counting:
            self._slow_ns[bucket] += 1
            self._slow_ns[-1] += nanoseconds
            if escalate_ns:
                self._escalate_ns[stage_bucket(escalate_ns)] += 1
                self._escalate_ns[-1] += escalate_ns
            for score in confidence.tolist():
                self._slow_confidence[confidence_bucket(score)] += 1
                self._slow_confidence[-1] += score if 0.0 <= score <= 1.0 else 0.0
            for row in rows:
                self._outcomes[_outcome(row), row.reason] += 1

    def failed(self, reason: str, rows: int = 1) -> None:
        """A question failed."""
        with self._counting:
            key = ("failed", reason if len(self._outcomes) < _MAX_OUTCOMES else "other")
            self._outcomes[key] += rows

    def total(self) -> Counted:
        """Answers by how long they took, and the sum of the seconds."""
        own = self._local.totals()
        with self._counting:
            counts, nanoseconds = self._slow_ns[:-1], own[_NANOSECONDS] + self._slow_ns[-1]
        for bits in range(_BITS):
            counts[_bucket_of_bits(bits)] += int(own[bits])
        return tuple(counts), nanoseconds / 1e9

    def escalate(self) -> Counted:
        """The same of the part in which upstreams were asked."""
        with self._counting:
            return tuple(self._escalate_ns[:-1]), self._escalate_ns[-1] / 1e9

    def confidence(self) -> Counted:
        """Rows of answers that were given at once."""
        own = self._local.totals()
        return tuple(int(count) for count in own[_CONFIDENCE:_CERTAIN]), own[_CERTAIN]

    def slow_confidence(self) -> Counted:
        """Rows of all others. Apart, so that neither number ever goes back."""
        with self._counting:
            return tuple(int(count) for count in self._slow_confidence[:-1]), self._slow_confidence[-1]

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Rows that were not answered at once, by (outcome, reason)."""
        with self._counting:
            return dict(self._outcomes)


def stage_bucket(nanoseconds: int) -> int:
    """The bucket of a time: (2^(15 + b), 2^(16 + b)] ns are bucket b."""
    return _bucket_of_bits((nanoseconds - 1).bit_length()) if nanoseconds > 0 else 0


def confidence_bucket(score: float) -> int:
    """The bucket of a confidence, whatever a model says: what is no number is in the first."""
    return bisect_left(CONFIDENCE_BOUNDS, score)


def _bucket_of_bits(bits: int) -> int:
    return min(_STAGES - 1, max(0, bits - 16))


def _outcome(row: RowFacts) -> str:
    if not row.resolved:
        return "unresolved"
    if row.degraded:
        return "degraded"
    return "above" if len(row.path) > 1 else "local"
