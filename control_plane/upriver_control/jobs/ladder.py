"""Which version answers in which tier, as the fleet runs it or is to run it, and how long its model takes. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from upriver.errors import NotNow
from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts, Pair


@dataclass(frozen=True, slots=True)
class Rung:
    """One tier of a model: the pair that most of its agents run, or are to run, and how many of how many that are.

    `invoke_ms` is the median that agents with that pair report, None where none has told yet. On `refined` of them
    answers what they made of it.
    """

    tier: str
    pair: Pair
    agents: int
    of: int
    invoke_ms: float | None
    refined: int = 0


def ladder(model: str, agents: Sequence[AgentFacts], intent: Intent | None) -> tuple[Rung, ...]:
    """The model's tiers that have agents, from the bottom to the top; raises NotNow where that can't be told.

    By what agents are to run as `intent` has it, or with None by what they say that they run. Agents that are not
    connected count as well: they come back.
    """
    serving = [(facts, pair) for facts in agents if (pair := _pair(facts, model, intent)) is not None]
    order = _order([facts for facts, _ in serving])
    rungs = [_rung(model, tier, [one for one in serving if one[0].tier == tier]) for tier in order]
    return tuple(rung for rung in rungs if rung is not None)


def median_ms(buckets: Mapping[int, int]) -> float | None:
    """The median of a histogram of model times, bucket b being 2^(b/4) to 2^((b+1)/4) µs; None without any."""
    total, seen = sum(buckets.values()), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if 2 * seen >= total > 0:
            return float(2.0 ** ((bucket + 0.5) / 4)) / 1e3
    return None


def _pair(facts: AgentFacts, model: str, intent: Intent | None) -> Pair | None:
    desired = None if intent is None else intent.desired(facts).get(model)
    if desired is not None:
        return desired.pair
    slot = facts.slots.get(model)
    return None if slot is None else slot.active


def _order(agents: Iterable[AgentFacts]) -> tuple[str, ...]:
    """The ladder that the agents are configured with; they must agree."""
    ladders = Counter(facts.tiers for facts in agents if facts.tiers)
    tiers = {facts.tier for facts in agents}
    if not ladders:
        if len(tiers) > 1:
            raise NotNow("agents did not tell their ladder of tiers yet; name the tiers with --tier, lowest first")
        return tuple(tiers)
    longest = max(ladders, key=lambda one: (len(one), ladders[one]))
    strange = sorted(tiers - set(longest))
    if strange or any([tier for tier in longest if tier in other] != list(other) for other in ladders):
        told = "; ".join(",".join(one) for one in sorted(ladders))
        raise NotNow(f"agents are configured with different ladders ({told}); name the tiers with --tier, lowest first")
    return longest


def _rung(model: str, tier: str, serving: Sequence[tuple[AgentFacts, Pair]]) -> Rung | None:
    if not serving:
        return None
    pair, count = Counter(pair for _, pair in serving).most_common(1)[0]
    buckets: Counter[int] = Counter()
    refined = 0
    for facts, _ in serving:
        slot = facts.slots.get(model)
        if slot is not None and slot.active is not None and slot.active.version_digest == pair.version_digest:
            buckets.update(slot.counters.latency_buckets)
            refined += slot.refined is not None
    return Rung(tier, pair, count, len(serving), median_ms(buckets), refined)
