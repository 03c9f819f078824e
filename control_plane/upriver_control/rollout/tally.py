"""What agents report, counted for a rollout: how each ring's agents stand, and figures of both pairs. Pure.

Where an agent stands (`Standing`) is read from its last report alone; nothing is remembered for each agent, so that a
rollout over 100,000 agents is one small document. Whether it is late follows from when it was told to move, or came
back after that.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from upriver_control.observed import AgentFacts, Counters, Failure, Pair, SlotFacts, SlotState
from upriver_control.rollout.model import Rollout, position
from upriver_control.selector import parse

CAP = 3.0
"""A ring waits for an agent at most so many progress deadlines after it was told, however often the agent went away."""
MAX_REASONS = 16
MAX_REASON_LENGTH = 160
_OTHER = "other reasons"
_MIN_FAILED_REQUESTS = 3
_BUCKETS = 256  # 2^64 µs and more


class Standing(IntEnum):
    """How an agent that was told to move stands."""

    ACTIVE = 0
    FAILED = 1
    UNFIT = 2
    """It can't run the pair, was not touched, and is no sign that the pair is bad."""
    MOVING = 3
    LATE = 4
    """It came back too late for the ring to wait for it; it moves on its own time."""
    OFFLINE = 5


@dataclass(slots=True)
class Figures:
    """Counters of many agents that run one pair, added up."""

    rows: int = 0
    escalated: int = 0
    runs: list[int] = field(default_factory=lambda: [0] * _BUCKETS)

    def add(self, counters: Counters) -> None:
        """Adds one agent's."""
        self.rows += counters.rows
        self.escalated += counters.escalated_rows
        runs = self.runs
        for bucket, count in counters.latency_buckets.items():
            runs[bucket if 0 <= bucket < _BUCKETS else _BUCKETS - 1] += count

    def merge(self, other: "Figures") -> None:
        """Adds those of other agents."""
        self.rows += other.rows
        self.escalated += other.escalated
        self.runs = [mine + theirs for mine, theirs in zip(self.runs, other.runs, strict=True)]

    def escalation_rate(self) -> float | None:
        """The share of rows that went up; None without rows."""
        return self.escalated / self.rows if self.rows > 0 else None

    def p95_us(self) -> float | None:
        """The 95th percentile of the model's time in µs, between a bucket's bounds by logarithm; None without runs."""
        total = sum(self.runs)
        if total <= 0:
            return None
        wanted, below = 0.95 * total, 0
        for bucket, count in enumerate(self.runs):
            if count > 0 and below + count >= wanted:
                return math.exp2((bucket + (wanted - below) / count) / 4)
            below += count
        return None


@dataclass(slots=True)
class RingTally:
    """One opened ring's agents."""

    agents: int = 0
    released: int = 0
    reachable: int = 0
    standings: list[int] = field(default_factory=lambda: [0] * len(Standing))
    failures: dict[str, int] = field(default_factory=dict)
    unfit: dict[str, int] = field(default_factory=dict)
    offline: int = 0
    moved: Figures = field(default_factory=Figures)
    shadow_rows: int = 0
    shadow_agreed: int = 0

    def __getitem__(self, standing: Standing) -> int:
        return self.standings[standing]

    def fail(self, standing: Standing, reason: str) -> None:
        """Counts a reason; of very many different ones the later are told together."""
        reasons, reason = self.unfit if standing is Standing.UNFIT else self.failures, reason[:MAX_REASON_LENGTH]
        if reason not in reasons and len(reasons) >= MAX_REASONS:
            reason = _OTHER
        reasons[reason] = reasons.get(reason, 0) + 1


@dataclass(slots=True)
class Tally:
    """All that a step looks at. `waiting` are connected agents not yet told: (position, whether it has to move)."""

    rings: list[RingTally]
    matching: int = 0
    known: list[float] = field(default_factory=list)
    waiting: list[tuple[float, bool]] = field(default_factory=list)
    unmoved: Figures = field(default_factory=Figures)
    holding: int = 0
    """Connected agents told to move that run the pair or are on their way to it."""

    def moved(self) -> Figures:
        """Figures of the new pair on all agents that moved."""
        total = Figures()
        for ring in self.rings:
            total.merge(ring.moved)
        return total

    def count(self, *standings: Standing) -> int:
        """Agents of all rings that stand so."""
        return sum(ring[standing] for ring in self.rings for standing in standings)


def tally(rollout: Rollout, agents: Mapping[str, AgentFacts], now: float) -> Tally:
    """Counts all agents that the rollout's selector matches."""
    seen = Tally([RingTally() for _ in rollout.cuts])
    matches, model, pair = parse(rollout.selector).matches, rollout.model, rollout.pair
    last = rollout.cuts[-1] if rollout.cuts else 0.0
    for agent, facts in agents.items():
        if not matches(facts.labels):
            continue
        seen.matching += 1
        place = position(rollout.id, agent)
        slot = facts.slots.get(model)
        runs_it = slot is not None and pair.is_same(slot.active)
        if slot is not None and slot.active is not None and not runs_it:
            seen.unmoved.add(slot.counters)
        if place >= rollout.released:
            if facts.connected:
                seen.waiting.append((place, not runs_it))
            if place >= last:
                seen.known.append(place)
                continue
        _count(seen, rollout, facts, slot, place, now)
    return seen


def _count(seen: Tally, rollout: Rollout, facts: AgentFacts, slot: SlotFacts | None, place: float, now: float) -> None:
    ring = seen.rings[bisect_right(rollout.cuts, place)]
    ring.agents += 1
    ring.reachable += facts.connected
    if not facts.connected:
        ring.offline += 1
    if place >= rollout.released:
        return
    ring.released += 1
    standing, reason = stand(rollout, facts, slot, place, now)
    ring.standings[standing] += 1
    if standing is Standing.FAILED or standing is Standing.UNFIT:
        ring.fail(standing, reason)
    if slot is None:
        return
    runs_it, takes_it = rollout.pair.is_same(slot.active), rollout.pair.is_same(slot.candidate)
    if facts.connected and (runs_it or takes_it):
        seen.holding += 1
    if runs_it:
        ring.moved.add(slot.counters)
    if runs_it or takes_it:
        ring.shadow_rows += slot.shadow_rows
        ring.shadow_agreed += slot.shadow_agreed


def stand(
    rollout: Rollout, facts: AgentFacts, slot: SlotFacts | None, place: float, now: float
) -> tuple[Standing, str]:
    """How an agent that was told to move stands, and why where it failed."""
    if slot is not None:
        known = _reported(rollout.pair, slot)
        if known is not None:
            return known
    if not facts.connected:
        return Standing.OFFLINE, ""
    deadline_s = rollout.strategy.progress_deadline_s
    told = rollout.released_at(place)
    if now >= max(told, facts.connected_since) + deadline_s:
        return Standing.FAILED, _stuck(rollout.pair, facts, slot, deadline_s)
    return (Standing.LATE if now >= told + CAP * deadline_s else Standing.MOVING), ""


def _reported(pair: Pair, slot: SlotFacts) -> tuple[Standing, str] | None:
    if pair.is_same(slot.active):
        counters = slot.counters
        if counters.failures >= _MIN_FAILED_REQUESTS and counters.failures > counters.rows:
            return Standing.FAILED, "it fails on more requests than it answers"
        return Standing.ACTIVE, ""
    if slot.state is SlotState.FAILED and pair.is_same(slot.candidate):
        if slot.failure is Failure.UNFIT:
            return Standing.UNFIT, _words(slot)
        if slot.failure is not Failure.UNAVAILABLE:  # the agent goes on trying to fetch it: only time tells
            return Standing.FAILED, _words(slot)
    return None


def _words(slot: SlotFacts) -> str:
    return f"{slot.failure or 'failed'}: {slot.reason}" if slot.reason else str(slot.failure or "failed")


def _stuck(pair: Pair, facts: AgentFacts, slot: SlotFacts | None, deadline_s: float) -> str:
    if facts.refusal:
        return f"refused what it was sent: {facts.refusal}"
    if slot is not None and pair.is_same(slot.candidate):
        if slot.state is SlotState.FAILED:
            return _words(slot)
        return f"still {slot.state} after {deadline_s:g} s"
    return f"has not begun after {deadline_s:g} s"
