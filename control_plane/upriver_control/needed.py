"""Who needs a version, so that it can't be deleted: rollouts that may still bring it to agents, agents that have it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts, SlotFacts, SlotState
from upriver_control.rollout import Rollout
from upriver_control.store.records import StoredVersion

_NAMED = 3


@dataclass(frozen=True, slots=True)
class FleetNeeds:
    """A `Needed` over what is known of rollouts and agents when it is asked."""

    rollouts: Callable[[], Iterable[Rollout]]
    agents: Callable[[], Iterable[AgentFacts]]

    def __call__(self, version: StoredVersion) -> str:
        """Who needs it; empty when nobody does."""
        return needed_by(version.model, version.digest, tuple(self.rollouts()), self.agents())


def needed_by(model: str, digest: str, rollouts: Iterable[Rollout], agents: Iterable[AgentFacts]) -> str:
    """Says who needs a version of a model: rollouts first, then agents that run, keep or fetch it."""
    rollouts = [rollout for rollout in rollouts if rollout.model == model]
    wanting = {rollout.id for rollout in rollouts if _is(digest, rollout) and not rollout.has_ended}
    wanting |= {rollout.id for rollout in Intent(rollouts).standing(model) if _is(digest, rollout)}
    if wanting:
        return f"rollouts bring it to agents: {_some([f'rollouts/{one}' for one in sorted(wanting)])}"
    having = sorted(agent.agent for agent in agents if model in agent.slots and _has(digest, agent.slots[model]))
    return f"agents run it, or keep it to go back to: {_some([f'agents/{one}' for one in having])}" if having else ""


def _is(digest: str, rollout: Rollout) -> bool:
    return rollout.pair.version_digest == digest


def _has(digest: str, slot: SlotFacts) -> bool:
    coming = None if slot.state is SlotState.FAILED else slot.candidate
    return any(pair is not None and pair.version_digest == digest for pair in (slot.active, slot.previous, coming))


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
