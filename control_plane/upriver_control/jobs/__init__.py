"""Calibrations as resources: what was asked for, how far it is, what came out. Pure."""

from upriver_control.jobs.model import (
    ENDED,
    CostUnit,
    Fitness,
    Job,
    JobState,
    Operating,
    PathPoint,
    Result,
    Source,
    Spec,
    TierResult,
    TierSpec,
    WhatIf,
    cancelled,
    failed,
    succeeded,
)

__all__ = [
    "ENDED",
    "CostUnit",
    "Fitness",
    "Job",
    "JobState",
    "Operating",
    "PathPoint",
    "Result",
    "Source",
    "Spec",
    "TierResult",
    "TierSpec",
    "WhatIf",
    "cancelled",
    "failed",
    "succeeded",
]
