"""A training as it is kept: what is trained from what, and what came out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from upriver_control.jobs.work import JobState, Work

FORGETS: Final = 0.005
"""A version that answers so much less of what was replayed than its base did is no better, whatever it has learnt."""

REPLAY_LEFT_OUT: Final = "its label in what is replayed is not the base version's"
"""The reason in `left_out` that is not of lessons."""


class Executor(StrEnum):
    """Where a training runs."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """What is trained: the base by name and digest, on lessons of a region (empty: all) that came since `since`.

    `since` is a date, `YYYY-MM-DD`, empty for all. `code` is `module:function`, empty for fine-tuning. `replay` is the
    digest of a questions file, empty for none. `holdout` is the share of lessons that is never trained on. `max_loss`
    and `confidence` 0 are what the control plane is configured with.
    """

    base: str
    base_digest: str
    region: str = ""
    since: str = ""
    executor: Executor = Executor.LOCAL
    ray_address: str = ""
    code: str = ""
    replay: str = ""
    holdout: float = 0.2
    settings: Mapping[str, float] = field(default_factory=dict)
    rollout: bool = False
    quantise: str = "best"
    max_loss: float = 0.0
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How many questions the new version and its base answer as they should; `region` is empty for what was replayed.

    `questions` are none that it was trained on.
    """

    region: str
    questions: int
    right: int
    base_right: int

    @property
    def accuracy(self) -> float:
        """The share that the new version answers as it should."""
        return self.right / max(1, self.questions)

    @property
    def base_accuracy(self) -> float:
        """The share that its base does."""
        return self.base_right / max(1, self.questions)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came out; `version` is the published one's name, `holdout_digest` the file of the held-out questions."""

    lessons: int
    holdout: int
    evaluations: tuple[Evaluation, ...]
    code_digest: str
    data_digest: str
    replayed: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    new_labels: tuple[str, ...] = ()
    conversion: str = ""
    version: str = ""
    lessons_digest: str = ""
    holdout_digest: str = ""
    calibration: str = ""
    rollout: str = ""
    notes: tuple[str, ...] = ()

    @property
    def seen(self) -> int:
        """How many lessons it was given, those too that it could not use."""
        left_out = sum(count for reason, count in self.left_out.items() if reason != REPLAY_LEFT_OUT)
        return self.lessons + self.holdout + left_out


@dataclass(frozen=True, slots=True)
class Training(Work):
    """One training. `trigger` says why it was started by itself, empty when somebody asked for it."""

    spec: TrainSpec
    result: TrainResult | None = field(default=None, kw_only=True)
    trigger: str = field(default="", kw_only=True)

    @property
    def collection(self) -> str:
        """What its kind is called in names of resources."""
        return "trainings"


def trained(job: Training, result: TrainResult, now: float) -> Training:
    """The same, with what came out."""
    reason = no_better(result)
    return replace(
        job, state=JobState.SUCCEEDED, reason=reason, doing="", progress=1.0, updated=now, ended=now, result=result
    )


def no_better(result: TrainResult) -> str:
    """Why a version is no better than its base, by lessons that it never saw; empty when it is."""
    held = [one for one in result.evaluations if one.region]
    questions, right, base = (sum(getattr(one, name) for one in held) for name in ("questions", "right", "base_right"))
    if not questions:
        return "there were no lessons to hold it against"
    if right <= base:
        return f"it answers {right} of {questions} lessons that it never saw, and its base {base}"
    for one in result.evaluations:
        if not one.region and one.base_accuracy - one.accuracy > FORGETS:
            return f"of what was replayed it answers {one.accuracy:.2%}, and its base {one.base_accuracy:.2%}"
    return ""
