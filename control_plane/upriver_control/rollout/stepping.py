"""One step of a rollout: what agents report in, the rollout as it goes on and what it commands out. Pure.

A step judges first and moves on afterwards, with the same observations: a ring that failed never opens the next one.
It opens at most one ring. Every wait in it is bounded: for an agent by CAP progress deadlines after it was told to
move, for a soak by its time, for a way back by one progress deadline. So a rollout ends whatever its agents do; only a
person's pause holds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from heapq import nsmallest
from math import nextafter

from upriver_control.observed import AgentFacts
from upriver_control.rollout.gates import baseline, breach
from upriver_control.rollout.lifecycle import complete, returned, roll_back
from upriver_control.rollout.model import Ring, RingStatus, Rollout, RolloutState, with_wave
from upriver_control.rollout.tally import Figures, RingTally, Standing, Tally, tally


@dataclass(frozen=True, slots=True)
class Release:
    """Agents below `cut` are to be told; `agents` is how many more of those connected that are."""

    cut: float
    agents: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Agents that were told are to be told otherwise."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """It has ended."""

    state: RolloutState
    reason: str


Command = Release | Withdraw | Finish
Stepped = tuple[Rollout, tuple[Command, ...]]


def step(rollout: Rollout, observations: Mapping[str, AgentFacts], now: float) -> Stepped:
    """The rollout after looking at all agents once, and what the shell has to see to.

    Costs one pass over the agents: about 2 µs each.
    """
    if rollout.has_ended:
        return rollout, ()
    seen = tally(rollout, observations, now)
    if rollout.state is RolloutState.ROLLING_BACK:
        return _return(_told(rollout, seen), seen, now)
    rollout = replace(rollout, baseline=baseline(rollout, seen.unmoved))
    rollout = _told(rollout, seen)
    reason = breach(rollout, seen)
    if reason:
        return roll_back(rollout, reason, now), (Withdraw(reason),)
    if rollout.state is RolloutState.PAUSED:
        return rollout, ()
    return _advance(rollout, seen, now)


def _return(rollout: Rollout, seen: Tally, now: float) -> Stepped:
    since = rollout.updated if rollout.returning_since is None else rollout.returning_since
    if seen.holding and now < since + rollout.strategy.progress_deadline_s:
        return rollout, ()
    rollout = returned(rollout, seen.holding, now)
    return rollout, (Finish(rollout.state, rollout.reason),)


def _advance(rollout: Rollout, seen: Tally, now: float) -> Stepped:
    if len(rollout.cuts) <= rollout.ring:
        return _release(_open(rollout, seen), seen, now)
    if rollout.state is RolloutState.PROGRESSING:
        if rollout.released < rollout.cuts[rollout.ring]:
            return _release(rollout, seen, now)
        if seen.count(Standing.MOVING):
            return rollout, ()
        soak_s = rollout.strategy.soak_s
        if soak_s > 0:
            reason = (
                f"ring {rollout.ring + 1} of {len(rollout.strategy.rings)} has moved and is watched for {soak_s:g} s"
            )
            soaking = replace(rollout, state=RolloutState.SOAKING, soaking_since=now, reason=reason, updated=now)
            return soaking, ()
    elif now < (rollout.soaking_since or 0.0) + rollout.strategy.soak_s:
        return rollout, ()
    if rollout.ring + 1 >= len(rollout.strategy.rings):
        rollout = complete(rollout, now)
        return rollout, (Finish(rollout.state, rollout.reason),)
    following = replace(
        rollout, state=RolloutState.PROGRESSING, ring=rollout.ring + 1, soaking_since=None, reason="", updated=now
    )
    return _release(_open(following, seen), seen, now)


def _open(rollout: Rollout, seen: Tally) -> Rollout:
    return replace(rollout, cuts=(*rollout.cuts, _cut(rollout, seen)))


def _cut(rollout: Rollout, seen: Tally) -> float:
    """Where the ring that opens ends.

    A count takes so many connected agents: offline ones in between come along, but would not show whether the pair is
    good. With too few connected, it takes the known ones. A percentage takes at least one connected agent.
    """
    if rollout.ring + 1 >= len(rollout.strategy.rings):
        return 1.0
    ring, last = rollout.strategy.rings[rollout.ring], rollout.cuts[-1] if rollout.cuts else 0.0
    connected = [place for place, _ in seen.waiting if place >= last]
    reachable = sum(ring.reachable for ring in seen.rings)
    if ring.count:
        missing = ring.count - reachable
        known = connected if len(connected) >= missing else seen.known
    else:
        missing, known = 1 - reachable, connected
    taken = nsmallest(missing, known) if missing > 0 else []
    least = nextafter(taken[-1], 2.0) if taken else 0.0
    return min(1.0, max(last, least, ring.percent / 100))


def _release(rollout: Rollout, seen: Tally, now: float) -> Stepped:
    cut = rollout.cuts[rollout.ring]
    due = [place for place, moves in seen.waiting if place < cut and moves]
    limit = rollout.strategy.max_unavailable
    if limit > 0:
        budget = limit - seen.count(Standing.MOVING, Standing.LATE)
        if budget <= 0:
            return rollout, ()
        first = nsmallest(budget + 1, due)
        if len(first) > budget:
            cut, due = first[-1], first[:-1]
    before = rollout.released
    rollout = with_wave(rollout, cut, now)
    if rollout.released == before:
        return rollout, ()
    return replace(rollout, updated=now), (Release(cut, len(due)),)


def _told(rollout: Rollout, seen: Tally) -> Rollout:
    """The rollout with what is known of each ring; the sizes of rings that are not open yet are estimates."""
    opened = [_status(ring, rollout) for ring in seen.rings]
    before = sum(ring.agents for ring in opened)
    rings = rollout.strategy.rings
    for number in range(len(opened), len(rings)):
        until = seen.matching if number + 1 == len(rings) else _estimate(rings[number], seen.matching)
        opened.append(RingStatus(agents=max(0, until - before)))
        before = max(before, until)
    return rollout if rollout.rings == tuple(opened) else replace(rollout, rings=tuple(opened))


def _estimate(ring: Ring, agents: int) -> int:
    return min(agents, ring.count or round(ring.percent / 100 * agents))


def _status(ring: RingTally, rollout: Rollout) -> RingStatus:
    return RingStatus(
        agents=ring.agents,
        released=ring.released,
        active=ring[Standing.ACTIVE],
        failed=ring[Standing.FAILED] + ring[Standing.UNFIT],
        offline=ring.offline,
        failures={**ring.unfit, **ring.failures},
        agreement=ring.shadow_agreed / ring.shadow_rows if ring.shadow_rows > 0 else None,
        latency_ratio=_ratio(ring.moved, rollout),
        escalation_rate=ring.moved.escalation_rate(),
    )


def _ratio(moved: Figures, rollout: Rollout) -> float | None:
    p95_us, base = moved.p95_us(), rollout.baseline
    return None if p95_us is None or base is None or base.runs == 0 else p95_us / base.p95_us
