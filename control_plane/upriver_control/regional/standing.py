"""What runs in which region, by what agents report: where heads can be tried, and what they would take the place of."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from upriver.errors import ManifestError
from upriver.policies import Form, PolicyDocument, read_policy
from upriver.promises import Promise
from upriver_control.observed import AgentFacts, Desired, Pair


@dataclass(frozen=True, slots=True)
class Standing:
    """What most connected agents of a region run of a version; `policy` is read from the pair, or is the manifest's."""

    model: str
    region: str
    pair: Pair
    policy: PolicyDocument
    tiers: tuple[str, ...]
    agents: int


def standing(agents: Iterable[AgentFacts], manifest: dict[str, str]) -> list[Standing]:
    """By model, version and region, in order; the top tier is left out: it has nobody to learn from.

    Agents that are not connected count only where none is that runs the version.
    `manifest` has the policy documents of versions' manifests by digest; a version without a policy is left out.
    """
    found: dict[tuple[str, str, str], list[tuple[AgentFacts, Pair]]] = {}
    for agent in agents:
        if not agent.tiers or agent.tier == agent.tiers[-1]:
            continue
        for model, slot in agent.slots.items():
            if slot.active is not None:
                found.setdefault((model, slot.active.version_digest, agent.region), []).append((agent, slot.active))
    standings = []
    for (model, digest, region), running in sorted(found.items(), key=lambda entry: entry[0]):
        here = [one for one in running if one[0].connected] or running  # who was scrapped long ago decides nothing
        counts = Counter(pair.policy_document for _, pair in here)
        pair = max((pair for _, pair in here), key=lambda one: (counts[one.policy_document], one.policy_document))
        policy = _policy(pair.policy_document or manifest.get(digest, ""))
        if policy is not None:
            tiers = tuple(sorted({agent.tier for agent, _ in here}))
            standings.append(Standing(model, region, pair, policy, tiers, len(here)))
    return standings


def kept_back(
    standing: Standing, agents: Iterable[AgentFacts], desired: Callable[[AgentFacts], Mapping[str, Desired]]
) -> str:
    """Why a rollout would take an agent of its region and tiers from another version than this; empty where none.

    What an agent is `desired` to run, by model, decides: one that can't run it has that to be mended, and keeps nobody
    back. Where nothing is desired what it runs does, while it is connected. One agent must be connected.
    """
    any_connected = False
    for agent in agents:
        if agent.region != standing.region or agent.tier not in standing.tiers:
            continue
        wish, slot = desired(agent).get(standing.model), agent.slots.get(standing.model)
        active = slot.active if slot is not None and agent.connected else None
        pair = wish.pair if wish is not None else active
        any_connected |= agent.connected
        if (pair is None and agent.connected) or (
            pair is not None and pair.version_digest != standing.pair.version_digest
        ):
            return f"{agent.agent} {'runs' if wish is None else 'is to run'} {pair.version if pair else 'nothing'}"
    return "" if any_connected else "none of its agents is connected"


def tops(agents: Iterable[AgentFacts]) -> dict[str, str]:
    """The version that most agents on top run, by model."""
    found: dict[str, Counter[str]] = {}
    for agent in agents:
        if agent.tiers and agent.tier == agent.tiers[-1]:
            for model, slot in agent.slots.items():
                if slot.active is not None:
                    found.setdefault(model, Counter())[slot.active.version_digest] += 1
    return {model: versions.most_common(1)[0][0] for model, versions in found.items()}


def promise_of(policy: PolicyDocument, max_loss: float, confidence: float) -> Promise | str:
    """What every head must keep: as it is set, or as the pair that runs is certified for; else why there is none."""
    certificate = policy.certificate
    if max_loss > 0.0:
        delta = 0.05 if certificate is None else certificate.delta
        return Promise(max_loss, 1.0 - confidence if confidence else delta)
    if certificate is None:
        return "what runs there has no certificate that says what a head may lose: set regions.max_loss"
    if certificate.form is not Form.PER_TIER:
        return "what runs there is certified for a set of pairs together: set regions.max_loss"
    return Promise(certificate.epsilon, 1.0 - confidence if confidence else certificate.delta)


def _policy(document: str) -> PolicyDocument | None:
    try:
        return read_policy(document) if document else None
    except ManifestError:  # an agent runs what no longer counts as a policy: nothing is learnt from it
        return None
