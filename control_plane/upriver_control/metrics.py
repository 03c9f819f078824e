"""What the control plane tells Prometheus."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from upriver.families import Bounded, Family, Kind, Sample, summed
from upriver.process_metrics import ProcessMetrics
from upriver_control.fleet import in_sync, slots
from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts
from upriver_control.rollout import Rollout, RolloutState
from upriver_control.spans.intake import Counts

_OPEN: Final = (RolloutState.PROGRESSING, RolloutState.SOAKING, RolloutState.PAUSED, RolloutState.ROLLING_BACK)
_MAX_ROLLOUTS: Final = 64


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """How the span store does. `bytes`, `oldest_ns`, `waiting` and `lost` are None when its database can't be read,
    the last two also where nothing is forwarded; `refusing` is whether spans are refused now."""

    counts: Counts
    queued_bytes: int
    refusing: bool
    bytes: int | None = None
    oldest_ns: int | None = None
    waiting: int | None = None
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is looked at, all of one moment."""

    agents: Mapping[str, AgentFacts]
    rollouts: Mapping[str, Rollout]
    intent: Intent
    now: float


class Collector:
    """Collects; not for two threads at once. `look` may be called from any thread."""

    def __init__(self, look: Callable[[], Snapshot], spans: Callable[[], SpanFacts]) -> None:
        """`spans` may take as long as a database does."""
        self._look = look
        self._spans = spans
        self._tiers = Bounded()
        self._models = Bounded()
        self._process = ProcessMetrics()

    def families(self) -> Iterator[Family]:
        """All families."""
        seen = self._look()
        counts = Counter((self._tiers.name(agent.tier), agent.connected) for agent in seen.agents.values())
        agents = [
            Sample({"tier": tier, "connected": str(connected).lower()}, number)
            for (tier, connected), number in counts.items()
        ]
        yield Family("upriver_control_agents", Kind.GAUGE, "Agents that are known.", "", agents)
        astray = sum(not in_sync(slots(agent, seen.intent, seen.now)) for agent in seen.agents.values())
        text = "Agents that do not run what they should."
        yield Family("upriver_control_out_of_sync_agents", Kind.GAUGE, text, "", [Sample({}, astray)])
        under_way = [rollout for rollout in seen.rollouts.values() if rollout.state in _OPEN][:_MAX_ROLLOUTS]
        states = [
            Sample(
                {"rollout": rollout.id, "model": self._models.name(rollout.model), "state": state.value},
                float(rollout.state is state),
            )
            for rollout in under_way
            for state in _OPEN
        ]
        text = "1 for the state of a rollout that is under way."
        yield Family("upriver_control_rollout_state", Kind.GAUGE, text, "", summed(states))
        yield from span_families(self._spans())
        yield from self._process.families()


def span_families(facts: SpanFacts) -> Iterator[Family]:
    """What came of spans, and what waits."""
    counts = facts.counts
    came = {"kept": counts.received, "known": counts.duplicates, "rejected": counts.rejected}
    outcomes = [Sample({"outcome": outcome}, number) for outcome, number in came.items()]
    text = "Spans that came: kept, known before, or such as can't be kept."
    yield Family("upriver_control_spans_received", Kind.COUNTER, text, "", outcomes)
    text = "Exports that were sent away and come again."
    yield Family("upriver_control_span_exports_refused", Kind.COUNTER, text, "", [Sample({}, counts.refused)])
    text = "1 while spans are refused."
    yield Family("upriver_control_spans_refusing", Kind.GAUGE, text, "", [Sample({}, float(facts.refusing))])
    queued = [Sample({}, facts.queued_bytes)]
    yield Family("upriver_control_intake_queue_bytes", Kind.GAUGE, "Spans that wait to be written.", "bytes", queued)
    for name, text, unit, value in (
        ("stored_spans_bytes", "What spans take in their database.", "bytes", facts.bytes),
        ("forward_lag_spans", "Spans that wait to be sent on.", "", facts.waiting),
        ("forward_lost_spans", "Spans that were never taken where they are sent on.", "", facts.lost),
    ):
        samples = [] if value is None else [Sample({}, value)]
        yield Family(f"upriver_control_{name}", Kind.GAUGE, text, unit, samples)
    oldest = [Sample({}, facts.oldest_ns / 1e9)] if facts.oldest_ns else []
    text = "When the oldest span that is kept came."
    yield Family("upriver_control_oldest_span_time_seconds", Kind.GAUGE, text, "seconds", oldest)
