"""Calibrations as resources: what was asked for, how far it is, what came out. Pure."""

from upriver_control.jobs.model import (
    CostUnit,
    Fitness,
    Job,
    Operating,
    PathPoint,
    Result,
    Source,
    Spec,
    TierResult,
    TierSpec,
    WhatIf,
    succeeded,
)
from upriver_control.jobs.work import ENDED, JobState, Work, cancelled, failed

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
    "Work",
    "cancelled",
    "failed",
    "succeeded",
]
