"""What each agent should run: the newest rollout that wants something of it. Pure.

A rollout is an intent for the agents that it has released, also after it completed, was cancelled or superseded. Once
it is rolled back it is none, and the next older one counts again. Where there is no older one, the agent is pinned to
what it ran before: whatever it says it runs or ran, unless that was rolled back too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from upriver_control.observed import Activation, AgentFacts, Desired, SlotFacts
from upriver_control.rollout.model import Rollout, RolloutState, position
from upriver_control.selector import Selector, parse

_EMPTY = SlotFacts()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is desired of a slot, the rollout that decides, and since when."""

    desired: Desired
    rollout: Rollout
    since: float


@dataclass(frozen=True, slots=True)
class _Claim:
    rollout: Rollout
    selector: Selector


class Intent:
    """All rollouts as one answer; made anew when one of them has changed."""

    def __init__(self, rollouts: Iterable[Rollout]) -> None:
        by_model: dict[str, list[_Claim]] = {}
        for rollout in sorted(rollouts, key=lambda one: -one.generation):
            claims = by_model.setdefault(rollout.model, [])
            claim = _Claim(rollout, parse(rollout.selector))
            if rollout.released > 0 and not any(_hides(newer, claim) for newer in claims):
                claims.append(claim)
        self._claims = by_model

    def desired(self, agent: AgentFacts) -> Mapping[str, Desired]:
        """What an agent's slots should run, by model; slots that nobody speaks of are left out."""
        return {model: wish.desired for model, wish in self.wishes(agent).items()}

    def wishes(self, agent: AgentFacts) -> Mapping[str, Wish]:
        """The same with whose wish it is."""
        found = {model: self._wish(agent, model, claims) for model, claims in self._claims.items()}
        return {model: wish for model, wish in found.items() if wish is not None}

    def standing(self, model: str) -> tuple[Rollout, ...]:
        """The rollouts that may decide what an agent runs, also one that comes later; newest first."""
        return tuple(claim.rollout for claim in self._claims.get(model, ()) if not claim.rollout.is_withdrawn)

    def _wish(self, agent: AgentFacts, model: str, claims: list[_Claim]) -> Wish | None:
        slot = agent.slots.get(model, _EMPTY)
        withdrawn: list[Rollout] = []
        for claim in claims:
            rollout = claim.rollout
            if not claim.selector.matches(agent.labels) or not rollout.has_released(agent.agent):
                continue
            if rollout.is_withdrawn:
                withdrawn.append(rollout)
                continue
            return _follows(rollout, withdrawn, slot, agent.agent)
        return _pinned(withdrawn, slot) if withdrawn else None


def superseded_by(newer: Rollout, rollouts: Iterable[Rollout]) -> list[Rollout]:
    """The rollouts under way that a newer one of the same model takes over from: those it may share an agent with."""
    selector = parse(newer.selector)
    return [
        older
        for older in rollouts
        if older.model == newer.model
        and older.generation < newer.generation
        and not older.has_ended
        and not older.is_withdrawn
        and selector.may_overlap(parse(older.selector))
    ]


def _follows(rollout: Rollout, withdrawn: list[Rollout], slot: SlotFacts, agent: str) -> Wish:
    if not withdrawn:
        since = rollout.released_at(position(rollout.id, agent))
        generation = max(rollout.generation, slot.generation)
        return Wish(Desired(rollout.pair, rollout.id, generation, rollout.strategy.activation), rollout, since)
    # On the way back there is nothing to compare with: what is active was found bad.
    generation = max(withdrawn[0].generation, slot.generation)
    return Wish(Desired(rollout.pair, rollout.id, generation, Activation()), rollout, _withdrawn_at(withdrawn[0]))


def _pinned(withdrawn: list[Rollout], slot: SlotFacts) -> Wish:
    newest = withdrawn[0]
    bad = [rollout.pair for rollout in withdrawn]
    good = [
        pair
        for pair in (slot.active, slot.previous)
        if pair is not None and not any(pair.is_same(other) for other in bad)
    ]
    generation = max(newest.generation, slot.generation)
    desired = Desired(good[0] if good else None, newest.id, generation, Activation())
    return Wish(desired, newest, _withdrawn_at(newest))


def _withdrawn_at(rollout: Rollout) -> float:
    return rollout.updated if rollout.returning_since is None else rollout.returning_since


def _hides(newer: _Claim, older: _Claim) -> bool:
    """Whether no agent can ever see the older one behind the newer; a withdrawn one hides nothing."""
    return (
        newer.rollout.state is RolloutState.COMPLETED
        and newer.rollout.released >= 1.0
        and newer.selector.covers(older.selector)
    )
