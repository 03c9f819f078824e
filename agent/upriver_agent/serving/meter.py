"""What is measured of a model's answers while they are made: only where somebody has metrics fetched.

A local answer adds to a list that its thread alone writes: no lock, and nothing is allocated after the thread's first.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from upriver.scores import Floats
from upriver_agent.merge import RowFacts

STAGE_BOUNDS: Final = tuple(2.0**power / 1e9 for power in range(16, 35))
"""Seconds: 2^16 ns (66 us) and its doubles up to 17 s; what is longer is in the bucket after the last one."""
CONFIDENCE_BOUNDS: Final = tuple(step / 20 for step in range(1, 20))
_STAGES: Final = len(STAGE_BOUNDS) + 1
_CONFIDENCES: Final = len(CONFIDENCE_BOUNDS) + 1
_MAX_OUTCOMES: Final = 128


class Tally:
    """Counts by bucket, and the sum of what was counted; every thread adds to a list of its own."""

    def __init__(self, buckets: int) -> None:
        self._buckets = buckets
        self._own = threading.local()
        self._shared = [0.0] * (buckets + 1)
        """Of threads that come and go, and of those that have ended."""
        self._alive: list[tuple[threading.Thread, list[float]]] = []
        self._joining = threading.Lock()

    def add(self, bucket: int, value: float) -> None:
        """Counts a value into its bucket."""
        try:
            mine: list[float] = self._own.counts
        except AttributeError:
            mine = self._joined()
        mine[bucket] += 1
        mine[-1] += value

    def add_shared(self, bucket: int, value: float) -> None:
        """The same under a lock, for threads that come and go: gRPC's own are new for every burst of calls."""
        with self._joining:
            self._shared[bucket] += 1
            self._shared[-1] += value

    def totals(self) -> tuple[tuple[int, ...], float]:
        """The counts and the sum over all threads; they may be of a moment apart."""
        with self._joining:
            self._fold()
            lists = [self._shared, *(mine for _, mine in self._alive)]
        return tuple(int(sum(one[index] for one in lists)) for index in range(self._buckets)), sum(
            one[-1] for one in lists
        )

    def _joined(self) -> list[float]:
        mine = self._own.counts = [0.0] * (self._buckets + 1)
        with self._joining:
            self._fold()
            self._alive.append((threading.current_thread(), mine))
        return mine

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
            self._shared = [sum(counts) for counts in zip(self._shared, *ended, strict=True)]
            self._alive = alive


class Meter:
    """One model's, whichever version answers."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.total = Tally(_STAGES)
        self.escalate = Tally(_STAGES)
        self.confidence = Tally(_CONFIDENCES)
        """Rows of answers that were given at once."""
        self.slow_confidence = Tally(_CONFIDENCES)
        """Rows of all others. Apart, so that neither number ever goes back."""
        self.slowest: dict[int, tuple[str, float, float]] = {}
        """By bucket of `total`: the trace, the seconds and the time of the newest question that has a trace."""
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()

    def local(self, nanoseconds: int, confidence: Floats) -> None:
        """An answer was given here and went nowhere else."""
        self.total.add(stage_bucket(nanoseconds), nanoseconds / 1e9)
        _add_all(self.confidence.add, confidence)

    def slow(
        self, nanoseconds: int, escalate_ns: int, confidence: Floats, rows: Sequence[RowFacts], trace: str, now: float
    ) -> None:
        """An answer was given after more was done than that; `escalate_ns` is 0 when no upstream was asked."""
        bucket, seconds = stage_bucket(nanoseconds), nanoseconds / 1e9
        self.total.add_shared(bucket, seconds)
        _add_all(self.slow_confidence.add_shared, confidence)
        if escalate_ns:
            self.escalate.add_shared(stage_bucket(escalate_ns), escalate_ns / 1e9)
        if trace:
            self.slowest[bucket] = (trace, seconds, now)
        with self._counting:
            for row in rows:
                self._outcomes[_outcome(row), row.reason] += 1

    def failed(self, reason: str, rows: int = 1) -> None:
        """A question failed."""
        with self._counting:
            key = ("failed", reason if len(self._outcomes) < _MAX_OUTCOMES else "other")
            self._outcomes[key] += rows

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Rows that were not answered at once, by (outcome, reason)."""
        with self._counting:
            return dict(self._outcomes)


def stage_bucket(nanoseconds: int) -> int:
    """The bucket of a time: (2^(15 + b), 2^(16 + b)] ns are bucket b."""
    return min(_STAGES - 1, max(0, (nanoseconds - 1).bit_length() - 16)) if nanoseconds > 0 else 0


def confidence_bucket(score: float) -> int:
    """The bucket of a confidence, whatever a model says: what is no number is in the first."""
    if not score > 0.0:
        return 0
    if score > CONFIDENCE_BOUNDS[-1]:
        return _CONFIDENCES - 1
    bucket = int(score * 20)
    return bucket - 1 if bucket and score <= CONFIDENCE_BOUNDS[bucket - 1] else bucket


def _add_all(add: Callable[[int, float], None], confidence: Floats) -> None:
    for score in confidence.tolist():
        add(confidence_bucket(score), score if 0.0 <= score <= 1.0 else 0.0)


def _outcome(row: RowFacts) -> str:
    if not row.resolved:
        return "unresolved"
    if row.degraded:
        return "degraded"
    return "above" if len(row.path) > 1 else "local"
