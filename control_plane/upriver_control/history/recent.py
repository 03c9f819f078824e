"""Rates of the last minute of every agent, from the counters that it reports. Pure."""

from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from upriver_control.observed import AgentFacts, SlotFacts
from upriver_control.spans.counting import MAX_COUNT, Observed, difference
from upriver_control.spans.histogram import BUCKETS, quantile_ns

WINDOW_S: Final = 60.0
APART_S: Final = 8.0
"""Reports that come closer together are remembered as one: the newest."""
_MOST: Final = 10
_SILENT_S: Final = 180.0
_LONGEST_S: Final = 10 * 365 * 86_400.0
"""An agent of which nothing came for so long is told to do nothing: reports come every quarter of a minute, of very
many agents less often."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What an agent did within about the last minute. `p95_ns` is None without any run of a model."""

    rows_per_s: float = 0.0
    escalated_share: float = 0.0
    p95_ns: int | None = None


NOTHING: Final = Rates()


class _Slot(NamedTuple):
    observed: Observed
    buckets: "array[int]"
    """Bucket after bucket, each with its count: small, as there are many agents."""


class _Sample(NamedTuple):
    at: float
    slots: Mapping[str, _Slot]


class Recent:
    """Remembers some reports of every agent."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[_Sample]] = {}

    def heard(self, facts: AgentFacts, at: float) -> list[Observed]:
        """Takes in a report that came at Unix time `at`; gives what it says of each of its models that answers."""
        told = [_observed(facts, model, slot, at) for model, slot in facts.slots.items() if slot.active is not None]
        packed = {one.model: _Slot(one, _packed(facts.slots[one.model].counters.latency_buckets)) for one in told}
        sample = _Sample(at, packed)
        samples = self._samples.setdefault(facts.agent, deque(maxlen=_MOST))
        if len(samples) > 1 and at < samples[-2].at + APART_S:
            samples[-1] = sample
        elif not samples or at > samples[-1].at:
            samples.append(sample)
        while len(samples) > 2 and samples[1].at <= at - WINDOW_S:
            samples.popleft()
        return told

    def forget(self, agents: Mapping[str, object]) -> None:
        """Drops all agents but these."""
        for agent in self._samples.keys() - agents.keys():
            del self._samples[agent]

    def rates(self, agent: str, now: float) -> Rates:
        """An agent's rates at Unix time `now`."""
        samples = self._samples.get(agent)
        if not samples or samples[-1].at < now - _SILENT_S:
            return NOTHING
        first, last = samples[0], samples[-1]
        rows = escalated = 0
        since = first.at
        runs = [0.0] * BUCKETS
        for model, slot in last.slots.items():
            before = first.slots.get(model) if len(samples) > 1 else None
            happened = difference(None if before is None else before.observed, slot.observed)
            if happened is None or (before is None and happened.since < last.at - WINDOW_S):
                continue  # it answers for longer than anything is known of it
            rows += happened.rows
            escalated += happened.escalated_rows
            since = min(since, happened.since)
            _add(runs, slot.buckets, 1)
            if before is not None and _goes_on(before.observed, slot.observed):
                _add(runs, before.buckets, -1)
        length_s = last.at - since
        if rows <= 0 or length_s <= 0:
            return NOTHING
        weights = [max(0.0, run) for run in runs]
        return Rates(rows / length_s, min(1.0, escalated / rows), quantile_ns(weights, 0.95))


def _goes_on(before: Observed, now: Observed) -> bool:
    """Whether a pair's counters were not begun anew in between."""
    return (
        (before.boot, before.version) == (now.boot, now.version)
        and now.rows >= before.rows
        and now.active_for_s >= before.active_for_s
    )


def _observed(facts: AgentFacts, model: str, slot: SlotFacts, at: float) -> Observed:
    counters = slot.counters
    return Observed(
        agent=facts.agent,
        model=model,
        boot=facts.boot,
        version=slot.active.version_digest if slot.active is not None else "",
        region=facts.region,
        rows=_bounded(counters.rows),
        escalated_rows=_bounded(counters.escalated_rows),
        active_for_s=min(slot.active_for_s, _LONGEST_S),
        at=at,
        lessons=_bounded(facts.lessons.get(model, 0)),
    )


def _bounded(count: int) -> int:
    return min(max(0, count), MAX_COUNT)


def _packed(buckets: Mapping[int, int]) -> "array[int]":
    return array("q", chain.from_iterable(buckets.items()))


def _add(runs: list[float], buckets: "array[int]", sign: int) -> None:
    for index in range(0, len(buckets), 2):
        runs[min(max(0, buckets[index]), BUCKETS - 1)] += sign * max(0, buckets[index + 1])
