"""A head that is, or was, tried on a region's audits."""

from dataclasses import dataclass
from enum import StrEnum

from upriver.promises import Promise
from upriver.trials import Trial


class Scope(StrEnum):
    """Whose lessons a head was learnt from."""

    REGION = "region"
    GLOBAL = "global"


class TrialState(StrEnum):
    """How far a trial is."""

    OPEN = "open"
    """Agents count."""
    PASSED = "passed"
    """It may answer: its policy is certified."""
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    """It ended without a look at its counts, or may not answer though it passed."""


class Need(StrEnum):
    """What a head must do besides keeping its promise, held against what answers now."""

    FEWER = "fewer"
    """Escalate less, surely."""
    AS_FEW = "as-few"
    """Escalate no more: of a head of all regions that would take the place of a region's own."""
    NOTHING = "nothing"
    """What answers now had learnt what must be forgotten."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the counts said; see `verdict.judge`. `why` is empty for a head that may answer."""

    attempt: int
    delta: float
    questions: int
    temperature: float = 1.0
    threshold: float = 0.0
    losses: int = 0
    coverage: float = 0.0
    p_loss: float = 1.0
    gained: int = 0
    given_up: int = 0
    p_fewer: float = 1.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class RegionTrial:
    """One trial. `policy` is the document of the pair that ran there, whose agreement and ladder the new one keeps.

    `base` is the policy without a head that ran there before any: what a region goes back to. `lessons`, `agents` and
    `forgotten` are of the sums that the head was learnt from, on an embedding of `width`. `need` is what the head must
    do besides keeping the promise. `head_bytes` and `delta_bytes` are what the head, and what changes from the one
    before, take on the wire; 0 for none. `proven` is the certified policy while it is not published yet, `made` names
    it from then on. `rollouts` bring it, and take it away again, after which it is withdrawn.
    """

    trial: Trial
    version: str
    scope: Scope
    tiers: tuple[str, ...]
    policy: str
    base: str
    promise: Promise
    lessons: float
    agents: int
    forgotten: int
    created: float
    need: Need = Need.FEWER
    width: int = 0
    head_bytes: int = 0
    delta_bytes: int = 0
    state: TrialState = TrialState.OPEN
    counted_by: int = 0
    verdict: Verdict | None = None
    why: str = ""
    proven: str = ""
    made: str = ""
    rollouts: tuple[str, ...] = ()
    ended: float = 0.0

    @property
    def id(self) -> str:
        """Its digest: what counts of it are sent under."""
        return self.trial.digest

    @property
    def region(self) -> str:
        """Where it is tried."""
        return self.trial.region
