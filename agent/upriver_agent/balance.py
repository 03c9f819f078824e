"""Which upstream to ask: the lowest tier above that is reachable, then the own region, then the less busy of two.

A policy may skip tiers.

Choosing the less busy of two random candidates keeps the longest queue at O(log log n) instead of the O(log n) of one
random choice, and unlike "the least busy of all" does not send everyone to the same agent (Mitzenmacher 2001).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from upriver.discovery.port import AgentRecord
from upriver.parameters import PROTOCOL, Mode, Reason
from upriver_agent.envelope import CallerOptions
from upriver_agent.place import Place, highest_rank

MAX_PER_TIER = 3
"""Upstreams of one tier that a question is offered to: a dead site must not use up the caller's time."""


@dataclass(frozen=True, slots=True)
class Avoid:
    """Ids of agents not to ask now: the circuit breaker is open, or they have as many questions as they take.

    Those that are `ejected`, because they do worse than their peers, are asked when there is no other.
    """

    broken: frozenset[str] = frozenset()
    full: frozenset[str] = frozenset()
    ejected: frozenset[str] = frozenset()


NOBODY = Avoid()


def obstacle(
    agents: Sequence[AgentRecord],
    place: Place,
    model: str,
    options: CallerOptions,
    visited: Collection[str] = (),
    avoid: Avoid = NOBODY,
) -> Reason | None:
    """Why no upstream can be asked; None when one can. `visited` are agents that the question was through."""
    above = _above(agents, place, model, options, visited)
    if not above:
        return Reason.UPSTREAM_DOWN
    allowed = [record for record in above if _in_region(record, place, options)]
    if not allowed:
        return Reason.REGION
    if all(record.agent in avoid.broken for record in allowed):
        return Reason.BREAKER_OPEN
    if all(record.agent in avoid.broken or record.agent in avoid.full for record in allowed):
        return Reason.UPSTREAM_FULL
    return None


def candidates(
    agents: Sequence[AgentRecord],
    place: Place,
    model: str,
    options: CallerOptions,
    visited: Collection[str],
    avoid: Avoid,
    outstanding: Callable[[str], int],
    pick: Callable[[int], int],
    escalate_to: str = "",
) -> Iterator[AgentRecord]:
    """Upstreams in the order to ask them, each when the one before has failed; at most MAX_PER_TIER of a tier.

    With mode=top the highest tier comes first, otherwise the lowest from `escalate_to` on. Those below it come last,
    the highest first: a tier that adds little is still better than no answer from above. A name of no tier above us
    counts as none. Agents that are ejected come after all others. `outstanding` says how many questions this agent has
    at another now; `pick(n)` is chance, an index below n.
    """
    allowed = [
        record
        for record in _above(agents, place, model, options, visited)
        if _in_region(record, place, options) and record.agent not in avoid.broken and record.agent not in avoid.full
    ]
    for ejected in (False, True):
        group = [record for record in allowed if (record.agent in avoid.ejected) is ejected]
        tiers = _in_order({record.tier for record in group}, place, options.mode, escalate_to)
        yield from _offered(group, place, tiers, outstanding, pick)


def peers(agents: Sequence[AgentRecord], record: AgentRecord) -> list[AgentRecord]:
    """The healthy agents of an agent's tier, itself among them: those that it is held against."""
    return [other for other in agents if other.tier == record.tier and (other.healthy or other.agent == record.agent)]


def _offered(
    above: list[AgentRecord],
    place: Place,
    tiers: Sequence[str],
    outstanding: Callable[[str], int],
    pick: Callable[[int], int],
) -> Iterator[AgentRecord]:
    for tier in tiers:
        near = [record for record in above if record.tier == tier and record.region == place.region]
        far = [record for record in above if record.tier == tier and record.region != place.region]
        offered = 0
        for group in (near, far):
            while group and offered < MAX_PER_TIER:
                yield _less_busy_of_two(group, outstanding, pick)
                offered += 1


def _in_order(tiers: Collection[str], place: Place, mode: Mode, escalate_to: str) -> list[str]:
    rising = sorted(tiers, key=place.tiers.index)
    if mode is Mode.TOP:
        return rising[::-1]
    lowest = place.tiers.index(escalate_to) if place.is_above(escalate_to) else 0
    skipped = [tier for tier in rising if place.tiers.index(tier) < lowest]
    return rising[len(skipped) :] + skipped[::-1]


def _above(
    agents: Sequence[AgentRecord], place: Place, model: str, options: CallerOptions, visited: Collection[str]
) -> list[AgentRecord]:
    """The agents that could answer better: of a higher tier that the caller allows, healthy, serving the model.

    An agent that declares no models may have them all. One of a tier that is not on our ladder is not above us.
    """
    higher = place.tiers[place.rank + 1 : highest_rank(place.tiers, options.max_tier) + 1]
    return [
        record
        for record in agents
        if record.tier in higher
        and record.healthy
        and record.protocol >= PROTOCOL  # who speaks a later protocol still understands this one
        and (not record.models or model in record.models)
        and record.agent not in visited
        and record.agent != place.agent
    ]


def _in_region(record: AgentRecord, place: Place, options: CallerOptions) -> bool:
    return record.region == place.region or not options.region_only


def _less_busy_of_two(
    group: list[AgentRecord], outstanding: Callable[[str], int], pick: Callable[[int], int]
) -> AgentRecord:
    """Takes the less busy of two random records out of `group`."""
    first = group.pop(pick(len(group)))
    if not group:
        return first
    index = pick(len(group))
    if outstanding(group[index].agent) >= outstanding(first.agent):
        return first
    second = group[index]
    group[index] = first
    return second
