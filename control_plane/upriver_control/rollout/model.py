"""What a rollout is: its strategy, and all that is remembered of how it goes. Pure values; times are Unix times."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache

from upriver.errors import UpriverError
from upriver_control.observed import Activation, Pair
from upriver_control.selector import parse


class RevisionConflict(UpriverError):
    """Somebody else has changed the rollout since it was read: read it again."""

    reason = "REVISION_CONFLICT"


PROGRESS_DEADLINE_S = 600.0
"""Where a strategy sets none."""


class RolloutState(StrEnum):
    """What a rollout is doing."""

    PROGRESSING = "progressing"
    SOAKING = "soaking"
    PAUSED = "paused"
    ROLLING_BACK = "rolling-back"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled-back"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


ENDED = frozenset({RolloutState.COMPLETED, RolloutState.ROLLED_BACK, RolloutState.CANCELLED, RolloutState.SUPERSEDED})
"""States that nothing but a person's roll-back leaves."""
WITHDRAWN = frozenset({RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK})
"""States in which a rollout is nobody's intent any more."""


@dataclass(frozen=True, slots=True)
class Ring:
    """How many agents in all, rings before included: `count` of them, or `percent` (above 0, at most 100)."""

    count: int = 0
    percent: float = 0.0

    def __str__(self) -> str:
        return str(self.count) if self.count else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True)
class Gates:
    """Bounds on what moved agents report; None is not looked at. Shares and the increase are 0 to 1."""

    min_agreement: float | None = None
    max_latency_ratio: float | None = None
    max_escalation_increase: float | None = None


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a rollout goes. The last ring is all agents, whatever it says; `max_unavailable` 0 is no limit."""

    rings: tuple[Ring, ...] = (Ring(percent=100.0),)
    max_unavailable: int = 0
    soak_s: float = 0.0
    failure_limit: float = 0.0
    min_sample: int = 1
    progress_deadline_s: float = PROGRESS_DEADLINE_S
    gates: Gates = Gates()
    activation: Activation = field(default_factory=Activation)


@dataclass(frozen=True, slots=True)
class Wave:
    """From `at` on, agents whose position is below `cut` are told to move."""

    cut: float
    at: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the old pair does on agents that have not moved, from the largest sample of late. p95 in µs."""

    rows: int
    escalation_rate: float
    runs: int
    p95_us: float


@dataclass(frozen=True, slots=True)
class RingStatus:
    """A ring's agents, counted, without those of rings before. Figures are None where there is nothing to tell."""

    agents: int = 0
    released: int = 0
    active: int = 0
    failed: int = 0
    offline: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    agreement: float | None = None
    latency_ratio: float | None = None
    escalation_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One intent: agents that `selector` matches run `pair`.

    `released` is the share of agents told to move: those whose position is below it. It only grows. `cuts` are the
    bounds of the rings opened so far and `waves` when each share was released. `revision` is the store's.
    """

    id: str
    pair: Pair
    model: str
    created: float
    selector: str = ""
    strategy: Strategy = Strategy()
    generation: int = 0
    state: RolloutState = RolloutState.PROGRESSING
    reason: str = ""
    ring: int = 0
    released: float = 0.0
    cuts: tuple[float, ...] = ()
    waves: tuple[Wave, ...] = ()
    soaking_since: float | None = None
    paused_from: RolloutState | None = None
    returning_since: float | None = None
    baseline: Baseline | None = None
    rings: tuple[RingStatus, ...] = ()
    updated: float = 0.0
    ended: float | None = None
    revision: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether it does nothing any more by itself."""
        return self.state in ENDED

    @property
    def is_withdrawn(self) -> bool:
        """Whether its agents are to run, or run, something else."""
        return self.state in WITHDRAWN

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an agent with these labels is meant."""
        return parse(self.selector).matches(labels)

    def has_released(self, agent: str) -> bool:
        """Whether an agent, if it is meant at all, was told to move."""
        return self.released >= 1.0 or (self.released > 0.0 and position(self.id, agent) < self.released)

    def released_at(self, place: float) -> float:
        """When agents at this position were told to move; the rollout's beginning where that is not known."""
        index = bisect_right(self.waves, place, key=lambda wave: wave.cut)
        return self.waves[index].at if index < len(self.waves) else self.created


@lru_cache(maxsize=1 << 17)
def position(rollout: str, agent: str) -> float:
    """Where an agent stands in a rollout's order, in [0, 1): by chance, but the same everywhere and always."""
    digest = hashlib.sha256(f"{rollout}/{agent}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def with_wave(rollout: Rollout, cut: float, now: float) -> Rollout:
    """The rollout with its released share grown to `cut`, and the time noted.

    Waves that follow each other within a 64th of the progress deadline are noted as one, with the later time, so that
    what is remembered stays bounded; those too old to matter are noted as one too.
    """
    if cut <= rollout.released:
        return rollout
    grain_s = rollout.strategy.progress_deadline_s / 64
    waves = list(rollout.waves)
    if waves and now - waves[-1].at < grain_s and len(waves) > 1 and waves[-1].at - waves[-2].at < grain_s:
        waves.pop()
    waves.append(Wave(cut, now))
    return replace(rollout, released=cut, waves=tuple(_settled(waves, rollout.strategy.progress_deadline_s, now)))


def _settled(waves: list[Wave], deadline_s: float, now: float) -> list[Wave]:
    old = [wave for wave in waves if now - wave.at > 4 * deadline_s]
    return [*old[-1:], *waves[len(old) :]]
