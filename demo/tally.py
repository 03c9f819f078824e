"""What the demo counts while it asks, and the summary that it makes of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from demo.mesh import TIERS

LOCAL = TIERS[:2]
"""The tiers whose answers count as local."""

Labels = NDArray[np.int64]
"""A label for each digit."""


@dataclass(frozen=True)
class Told:
    """What one answer said."""

    label: str
    tier: str
    version: str
    path: tuple[str, ...]
    resolved: bool
    degraded: bool
    reason: str
    trace_id: str
    bytes_up: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to question `number` of the stream, which was about digit `index`."""

    number: int
    index: int
    label: str
    tier: str


@dataclass
class Tally:
    """Counts over the answers so far. `request_bytes` is the size of one request message."""

    request_bytes: int
    answers: int = 0
    right: int = 0
    failed: int = 0
    unresolved: int = 0
    degraded: int = 0
    bytes_up: float = 0.0
    by_tier: Counter[str] = field(default_factory=Counter)
    right_by_tier: Counter[str] = field(default_factory=Counter)
    by_version: Counter[str] = field(default_factory=Counter)
    right_by_version: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    latencies_by_tier: dict[str, list[float]] = field(default_factory=dict)
    traces: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    answered: list[Answered] = field(default_factory=list)

    def add(self, told: Told, truth: str, number: int = 0, index: int = 0) -> None:
        """Counts the answer to question `number`, about digit `index`."""
        self.answers += 1
        self.answered.append(Answered(number, index, told.label, told.tier))
        self.right += told.label == truth
        self.right_by_tier[told.tier] += told.label == truth
        self.unresolved += not told.resolved
        self.degraded += told.degraded
        self.bytes_up += told.bytes_up * links_per_hop(told.path)
        self.by_tier[told.tier] += 1
        self.by_version[told.version] += 1
        self.right_by_version[told.version] += told.label == truth
        self.reasons[told.reason] += 1
        self.latencies_ms.append(told.latency_ms)
        self.latencies_by_tier.setdefault(told.tier, []).append(told.latency_ms)
        if told.trace_id:
            self.traces[told.trace_id] = told.path

    def fail(self, why: str) -> None:
        """Counts a question that got an error."""
        self.failed += 1
        self.failures[why] += 1

    @property
    def asked(self) -> int:
        """Questions that came back, one way or the other."""
        return self.answers + self.failed

    def accuracy(self) -> float:
        """The share of right answers, failures counting as wrong."""
        return self.right / self.asked if self.asked else 0.0

    def percentile_ms(self, percent: float, tier: str | None = None) -> float:
        """A percentile of the latency, of one tier's answers or of all; 0 before the first."""
        values = self.latencies_ms if tier is None else self.latencies_by_tier.get(tier, [])
        return float(np.percentile(values, percent)) if values else 0.0

    def summary(self, alone: Mapping[str, float], hops: int, complete: int, audits: int = 0) -> dict[str, object]:
        """The record that `--json` writes. `alone` are the tiers' own accuracies, `hops` the way to the top.

        `audits` are questions that were sent to the top besides, to hold a device's answer against its.
        `bytes_send_all` is what sending each question up to the top would take per question: its request over each hop.
        """
        answers = max(1, self.answers)
        every = self.request_bytes * hops
        up = (self.bytes_up + audits * every) / answers
        return {
            "questions": self.asked,
            "accuracy": {"cascade": round(self.accuracy(), 4), **{t: round(a, 4) for t, a in alone.items()}},
            "answered_by": {tier: round(count / answers, 4) for tier, count in sorted(self.by_tier.items())},
            "unresolved": self.unresolved,
            "degraded": self.degraded,
            "failed": self.failed,
            "local_share": round(local_share(self.answered), 4),
            "bytes_up_per_question": round(up, 1),
            "bytes_send_all": every,
            "bytes_saved": round(1 - up / every, 4),
            "audits": audits,
            "latency_ms": {"p50": round(self.percentile_ms(50), 3), "p99": round(self.percentile_ms(99), 3)},
            "traces": {"sampled": len(self.traces), "complete": complete},
        }


def links_per_hop(path: Sequence[str]) -> float:
    """How many links between neighbouring tiers a hop crosses, on average over the path's.

    A question that skips tiers passes through their links all the same, and is counted on each, like one that is sent
    to the cloud.
    """
    tiers = [TIERS.index(agent.rpartition("-")[0]) for agent in path]
    return (tiers[-1] - tiers[0]) / (len(tiers) - 1) if len(tiers) > 1 else 1.0


def local_share(answered: Sequence[Answered]) -> float:
    """The share of answers that came from the device or the far edge; 0 before the first."""
    return sum(one.tier in LOCAL for one in answered) / max(1, len(answered))


def loss(answered: Sequence[Answered], top: Labels) -> float:
    """The share of answers that are not the top's; `top` has its label for each digit. 0 before the first."""
    return sum(one.label != str(top[one.index]) for one in answered) / max(1, len(answered))
