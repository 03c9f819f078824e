"""What becomes of a training's work: published, calibrated against what runs, rolled out where that is allowed.

Every step finds what it has made before, by a request of its own, so a process that is killed between two of them goes
on where it was. What is published has succeeded: where no calibration or rollout came of it, its notes say why.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, ParamSpec, Protocol, TypeVar

from upriver.errors import DiskTrouble, NotNow, QueueFull, Unreachable, UpriverError
from upriver.v1 import rollout_pb2
from upriver_control.jobs import Job, JobState, Spec, TierResult, TierSpec
from upriver_control.jobs.ladder import Rung
from upriver_control.jobs.training import Training, TrainResult, no_better
from upriver_control.rollout import Rollout
from upriver_control.training.workshop import Published, TrainingWorkshop
from upriver_control.wire import carefully
from upriver_control.working.threads import whole

P = ParamSpec("P")
T = TypeVar("T")
LOOK_S: Final = 0.5
TRIES: Final = 20
AGAIN_S: Final = 3.0
SOAK_S: Final = 30
MIN_QUESTIONS: Final = 20
_OF_LESSONS: Final = (
    "its certificate is of held-out lessons, which are questions that were asked above; audits watch what it answers of"
    " the others"
)
Tell = Callable[[str, float], None]
Start = Callable[[rollout_pb2.CreateRolloutRequest], Awaitable[Rollout]]


class Calibrations(Protocol):
    """What a training needs of calibrations."""

    async def calibrate(self, model: str, spec: Spec, request_id: str) -> Job:
        """Starts one, or gives the one that this request has made before."""

    async def get(self, model: str, job: str) -> Job:
        """One as it is now."""


@dataclass(frozen=True, slots=True)
class Following:
    """What may follow. `max_loss` and `confidence` are what is calibrated for where nothing is said, 0 for nothing.

    `hop_ms` is the time of a hop.
    """

    max_loss: float
    confidence: float
    rollout: bool
    hop_ms: float = 10.0


@dataclass(frozen=True, slots=True)
class TrainingBench:
    """Gets trainings ready and finishes them. `rungs` gives a model's ladder as the fleet is to run it."""

    workshop: TrainingWorkshop
    calibrations: Calibrations
    rungs: Callable[[str], tuple[Rung, ...]]
    start: Start
    following: Following

    def prepare(self, job: Training) -> Path | None:
        """Makes the job's folder; None when its version is published already. Blocks."""
        return self.workshop.prepare(job)

    def clear(self, job: Training) -> None:
        """Removes the job's folder. Blocks."""
        self.workshop.clear(job)

    async def finish(self, job: Training, tell: Tell) -> TrainResult:
        """Publishes, and has what may follow follow."""
        published = await _patiently(whole, self.workshop.publish, job)
        result, notes = published.result, list(published.result.notes)
        calibrated, tier = None, None
        try:
            calibrated, tier = await _patiently(self._calibrated, job, published, tell)
        except UpriverError as error:
            notes.append(f"not calibrated: {error}")
        if calibrated is not None:
            result = replace(result, calibration=calibrated.name)
            if calibrated.state is JobState.SUCCEEDED:
                notes.append(_OF_LESSONS)
            else:
                notes.append(f"not calibrated: {calibrated.name} has {calibrated.state.value}: {calibrated.reason}")
        if job.spec.rollout:
            reason = self._reason_against(result, tier)
            if reason or tier is None:
                notes.append(f"not rolled out: {reason}")
            else:
                tell("starting its rollout", 1.0)
                try:
                    made = await _patiently(self.start, _rollout(job, result, tier))
                except UpriverError as error:
                    notes.append(f"not rolled out: {error}")
                else:
                    result = replace(result, rollout=f"rollouts/{made.id}")
        return replace(result, notes=tuple(notes))

    def _reason_against(self, result: TrainResult, tier: TierResult | None) -> str:
        """Why what came out is not rolled out; empty when it is."""
        if not self.following.rollout:
            return "the control plane does not allow it (training.rollout)"
        reason = no_better(result)
        if reason:
            return reason
        if tier is None:
            return "it was not calibrated, so nothing is certain of it"
        if tier.threshold == math.inf:
            more = f"; {tier.missing} more held-out lessons are needed at least" if tier.missing else ""
            return f"nothing that it answers itself could be certified{more}"
        return ""

    async def _calibrated(
        self, job: Training, published: Published, tell: Tell
    ) -> tuple[Job | None, TierResult | None]:
        """Its calibration, ended, and what that gave for the tier of its base; None when there is to be none."""
        spec = job.spec
        max_loss = spec.max_loss or self.following.max_loss
        if not max_loss:
            return None, None
        if published.result.holdout < MIN_QUESTIONS:
            raise NotNow(f"{published.result.holdout} held-out lessons; expected at least {MIN_QUESTIONS}")
        tiers = tuple(
            TierSpec(rung.tier, rung.pair.version, rung.pair.version_digest, hop_ms=self.following.hop_ms)
            if rung.pair.version_digest != spec.base_digest
            else TierSpec(rung.tier, published.version.name, published.version.digest, hop_ms=self.following.hop_ms)
            for rung in self.rungs(job.model)
        )
        place = next((at for at, one in enumerate(tiers) if one.version == published.version.name), None)
        if place is None or len(tiers) < 2 or place == len(tiers) - 1:
            raise NotNow(f"of the fleet no tier below the top runs {spec.base}")
        tell("calibrating", 1.0)
        wanted = Spec(
            max_loss, spec.confidence or self.following.confidence, tiers, data=published.result.holdout_digest
        )
        made = await self.calibrations.calibrate(job.model, wanted, f"{job.name}/calibration")
        while not made.has_ended:
            await asyncio.sleep(LOOK_S)
            made = await self.calibrations.get(job.model, made.id)
            tell(f"calibrating: {made.doing or made.state.value}", 1.0)
        found = made.result.tiers[place] if made.result is not None else None
        return made, found if found is not None and found.policy else None


async def _patiently(step: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a step gives. One that comes at a bad moment is done again: hours of work are behind it."""
    for _try in range(TRIES - 1):
        try:
            return await step(*args, **kwargs)
        except (Unreachable, DiskTrouble, QueueFull):
            await asyncio.sleep(AGAIN_S)
    return await step(*args, **kwargs)


def _rollout(job: Training, result: TrainResult, tier: TierResult) -> rollout_pb2.CreateRolloutRequest:
    where = f",region={job.spec.region}" if job.spec.region else ""
    return rollout_pb2.CreateRolloutRequest(
        version=result.version,
        policy=f"models/{job.model}/policies/{tier.policy.removeprefix('sha256:')}",
        selector=f"tier={tier.tier}{where}",
        strategy=carefully(SOAK_S),
        request_id=f"{job.name}/rollout",
    )
