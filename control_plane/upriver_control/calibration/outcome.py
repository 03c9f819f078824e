"""What comes out of a calibration: policies with certificates, the path that led there, what else was possible."""

from dataclasses import dataclass

from upriver.policies import Basis, Form, PolicyDocument


@dataclass(frozen=True, slots=True)
class Preflight:
    """How well a tier's score tells agreement from disagreement, on the tuning split.

    `auroc` is the chance that a question on which it agrees with the top has the higher score; `aurc` the mean share of
    disagreements over all coverages (lower is better); `caught` the share of disagreements among the least sure 20 %.
    `disagreements` of `questions`. A tier that is not `fit` always escalates.
    """

    auroc: float
    aurc: float
    caught: float
    disagreements: int
    questions: int
    fit: bool


@dataclass(frozen=True, slots=True)
class PathPoint:
    """One point of the cost path, per tier below the top: thresholds and where the rest goes.

    `tuning_risk`, `cost` (per question, in the caller's unit) and `exit_shares` (the top's last, sum 1) are of the
    tuning split; `losses` and `p_value` of the calibration split. `certified` points form the front of the path.
    """

    thresholds: tuple[float, ...]
    escalate_to: tuple[str, ...]
    tuning_risk: float
    cost: float
    exit_shares: tuple[float, ...]
    losses: float
    p_value: float
    certified: bool


@dataclass(frozen=True, slots=True)
class Operating:
    """What a way of answering does on the calibration split: loss against the top, cost and shares by tier."""

    name: str
    risk: float
    cost: float
    exit_shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What another target would have given, from the same path; `exit_shares` and `cost` on the calibration split.

    Only the target that was asked for is certified: choosing among these needs fresh calibration data.
    """

    epsilon: float
    cost: float
    exit_shares: tuple[float, ...]
    losses: float
    missing: int


@dataclass(frozen=True, slots=True)
class TierOutcome:
    """A tier's policy. Without `certificate` in it, it always escalates."""

    tier: str
    policy: PolicyDocument
    preflight: Preflight
    missing: int
    """How many more questions are needed at least before it may answer anything itself; 0 when it may."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The outcome. `tiers` are those below the top, from the bottom.

    `losses` of `questions` on the calibration split were lost with what is shipped. `certified_loss` is what is proven
    of it, at most `epsilon`: the sum over the tiers' own bounds, or the joint one; 0 when nothing is answered below.
    The path is that of the whole cascade; in the joint form one of its points ships, `chosen`, else that is -1.
    """

    tiers: tuple[TierOutcome, ...]
    form: Form
    basis: Basis
    epsilon: float
    delta: float
    questions: int
    losses: float
    certified_loss: float
    shipped: Operating
    path: tuple[PathPoint, ...]
    chosen: int
    baselines: tuple[Operating, ...]
    what_if: tuple[WhatIf, ...]
    missing: int
    """How many more calibration questions are needed at least before any tier may answer; 0 when one does."""
