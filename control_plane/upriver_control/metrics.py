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

_OPEN: Final = (RolloutState.PROGRESSING, RolloutState.SOAKING, RolloutState.PAUSED, RolloutState.ROLLING_BACK)
_MAX_ROLLOUTS: Final = 64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is looked at, all of one moment."""

    agents: Mapping[str, AgentFacts]
    rollouts: Mapping[str, Rollout]
    intent: Intent
    now: float


class Collector:
    """Collects; not for two threads at once. `look` may be called from any thread."""

    def __init__(self, look: Callable[[], Snapshot]) -> None:
        self._look = look
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
        yield from self._process.families()
