"""A calibration as it is kept. Times are Unix times in seconds, shares 0 to 1. Pure."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from upriver.policies import Form
from upriver_control.jobs.work import JobState, Work


class CostUnit(StrEnum):
    """What questions cost that go up."""

    MS = "ms"
    BYTES = "bytes"


class Source(StrEnum):
    """What a calibration is made from."""

    DATA = "data"
    """Questions that were uploaded: every tier's version answers them."""
    AUDITS = "audits"
    """Audits of what runs: scores stay, thresholds are certified anew."""


@dataclass(frozen=True, slots=True)
class TierSpec:
    """One tier: its version by name and digest, and the policy that it runs, empty for the manifest's.

    `cost` is what asking it costs, in the calibration's unit, None where that is worked out; `hop_ms` is the time of
    the hop up to it, `invoke_ms` the time of its model for one row. `promise` is what the newest certificate of the
    version said, epsilon and delta, for a policy that has none; zeros where there was none.
    """

    tier: str
    version: str
    version_digest: str
    policy_document: str = ""
    cost: float | None = None
    hop_ms: float = 0.0
    invoke_ms: float = 0.0
    promise: tuple[float, ...] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Spec:
    """How policies are to be chosen; `tiers` go from the bottom to the top.

    `data` is the digest of the questions, empty with audits, of which those of the last `audit_s` count. `only` is the
    tier that audits are looked at of, empty for all below the top. `agreement` is as `jobs.wording` has it. With audits
    a `max_loss` or `confidence` of 0 is what each pair's own certificate says.
    """

    max_loss: float
    confidence: float
    tiers: tuple[TierSpec, ...]
    source: Source = Source.DATA
    form: Form = Form.PER_TIER
    cost: CostUnit = CostUnit.MS
    labels: bool = False
    data: str = ""
    audit_s: float = 0.0
    only: str = ""
    seed: int = 0
    tune_share: float = 0.5
    agreement: str = ""
    fuse: bool = False


@dataclass(frozen=True, slots=True)
class Fitness:
    """How well a tier's confidence tells agreement from disagreement; see `calibration.outcome.Preflight`."""

    auroc: float
    aurc: float
    caught: float
    disagreements: int
    questions: int
    fit: bool


@dataclass(frozen=True, slots=True)
class TierResult:
    """One tier's outcome. `policy` is its digest, empty where the tier's policy stays as it is.

    `epsilon` is the share of questions that it may lose, 0 without a certificate; `missing` how many more questions it
    needs at least before it may answer anything itself.
    """

    tier: str
    version: str
    policy: str
    threshold: float
    epsilon: float = 0.0
    coverage: float = 0.0
    exit_share: float = 0.0
    missing: int = 0
    fitness: Fitness | None = None
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class PathPoint:
    """One point of the path. `bound` is the smallest share that its losses prove at the confidence asked for."""

    exit_shares: tuple[float, ...]
    cost: float
    losses: float
    p_value: float
    certified: bool
    bound: float


@dataclass(frozen=True, slots=True)
class Operating:
    """A way of answering, on the certifying questions: loss, cost of a question, where questions end."""

    name: str
    risk: float
    cost: float
    exit_shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What another target would have given."""

    max_loss: float
    local_share: float
    cost: float
    losses: float
    missing: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: tiers from the bottom to the top, and what else was possible. See `calibration.outcome`.

    `certified_loss` is the share of questions that the chosen thresholds are proven to lose at most.
    """

    tiers: tuple[TierResult, ...]
    tune_questions: int
    calibrate_questions: int
    losses: float = 0.0
    certified_loss: float = 0.0
    missing: int = 0
    path: tuple[PathPoint, ...] = ()
    chosen: int = -1
    baselines: tuple[Operating, ...] = ()
    shipped: Operating | None = None
    what_if: tuple[WhatIf, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job(Work):
    """One calibration. `automatic` is true of one that no person asked for."""

    spec: Spec
    result: Result | None = field(default=None, kw_only=True)
    automatic: bool = field(default=False, kw_only=True)

    @property
    def collection(self) -> str:
        """What its kind is called in names of resources."""
        return "calibrations"


def succeeded(job: Job, result: Result, now: float) -> Job:
    """The same, with what came out."""
    missing = (
        f"{result.missing} more questions are needed at least before any tier may answer" if result.missing else ""
    )
    return replace(
        job, state=JobState.SUCCEEDED, reason=missing, doing="", progress=1.0, updated=now, ended=now, result=result
    )
