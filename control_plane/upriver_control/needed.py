"""Who needs a version, so that it can't be deleted: rollouts that may still bring it to agents, agents that have it.

And policies in use that were certified against it: what a certificate speaks of must be there to be asked again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from upriver.errors import ManifestError
from upriver.listing import digest as digest_of
from upriver.policies import read_policy
from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts, Pair, SlotFacts, SlotState
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
    alive = {rollout.id: rollout for rollout in rollouts if not rollout.has_ended}
    alive |= {rollout.id: rollout for rollout in Intent(rollouts).standing(model)}
    wanting = sorted(one.id for one in alive.values() if one.pair.version_digest == digest)
    if wanting:
        return f"rollouts bring it to agents: {_some([f'rollouts/{one}' for one in wanting])}"
    slots = {agent.agent: agent.slots[model] for agent in agents if model in agent.slots}
    having = sorted(name for name, slot in slots.items() if any(one.version_digest == digest for one in _pairs(slot)))
    if having:
        return f"agents run it, or keep it to go back to: {_some([f'agents/{one}' for one in having])}"
    documents = {one.pair.policy_document for one in alive.values()}
    documents |= {pair.policy_document for slot in slots.values() for pair in _pairs(slot)}
    documents |= {slot.refined.policy_document for slot in slots.values() if slot.refined is not None}
    naming = sorted(digest_of(document.encode()) for document in documents if digest in _named(document))
    return f"policies in use are certified against it: {_some([one[:23] for one in naming])}" if naming else ""


def _pairs(slot: SlotFacts) -> tuple[Pair, ...]:
    coming = None if slot.state is SlotState.FAILED else slot.candidate
    return tuple(pair for pair in (slot.active, slot.previous, coming) if pair is not None)


@lru_cache(maxsize=4096)
def _named(document: str) -> frozenset[str]:
    """The digests of other versions that a policy speaks of: the top of its certificate, those that it fuses with."""
    if not document:
        return frozenset()
    try:
        policy = read_policy(document)
    except ManifestError:  # an agent runs what no longer counts as a policy; it names nothing that could be looked up
        return frozenset()
    tops = () if policy.certificate is None else (policy.certificate.top,)
    return frozenset(tops if policy.fusion is None else (*tops, *policy.fusion.weights))


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
