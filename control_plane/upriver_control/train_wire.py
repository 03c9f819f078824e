"""Messages of TrainService, to and from the control plane's own values."""

import math
from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.listing import is_digest
from upriver.v1 import train_pb2 as pb
from upriver_control.convert.conversion import BEST
from upriver_control.convert.cost import Quantise
from upriver_control.jobs import JobState
from upriver_control.jobs.training import Executor, Training, TrainResult, TrainSpec

MAX_TEXT: Final = 200
MAX_SETTINGS: Final = 32
_STATES: Final = {state: getattr(pb, f"TRAINING_STATE_{state.name}") for state in JobState}
_EXECUTORS: Final = {
    pb.TRAINING_EXECUTOR_UNSPECIFIED: Executor.LOCAL,
    pb.TRAINING_EXECUTOR_LOCAL: Executor.LOCAL,
    pb.TRAINING_EXECUTOR_RAY: Executor.RAY,
}


def read_spec(message: pb.TrainingSpec, now: float) -> TrainSpec:
    """A spec as it was asked for, its base still as it was named; raises InvalidInput with all problems."""
    problems = [
        f"{name} is {value:g}; expected 0, or above 0 and below 1"
        for name, value in (
            ("holdout", message.holdout),
            ("max_loss", message.max_loss),
            ("confidence", message.confidence),
        )
        if not 0.0 <= value < 1.0
    ]
    problems += [
        f"{name} has {len(value)} characters; at most {MAX_TEXT}"
        for name, value in (
            ("base_version", message.base_version),
            ("region", message.region),
            ("ray_address", message.ray_address),
            ("code", message.code),
        )
        if len(value) > MAX_TEXT
    ]
    module, colon, function = message.code.partition(":")
    if message.code and not (colon and function.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        problems.append(f"code is {message.code[:MAX_TEXT]!r}; expected module:function")
    if message.executor not in _EXECUTORS:
        problems.append("executor is unknown; expected local or ray")
    if message.replay_digest and not is_digest(message.replay_digest):
        problems.append(f"replay_digest is {message.replay_digest[:80]!r}; expected sha256: and 64 digits")
    if message.quantise and message.quantise not in (BEST, *Quantise):
        problems.append(f"quantise is {message.quantise[:80]!r}; expected {BEST}, {', '.join(Quantise)}")
    bounded = all(len(name) <= MAX_TEXT and math.isfinite(value) for name, value in message.settings.items())
    if len(message.settings) > MAX_SETTINGS or not bounded:
        problems.append(
            f"{len(message.settings)} settings; expected at most {MAX_SETTINGS}, all finite, with names of at most"
            f" {MAX_TEXT} characters"
        )
    age_s = message.age.seconds + message.age.nanos / 1e9
    if age_s < 0:
        problems.append(f"age is {age_s:g} s; expected above 0")
    if problems:
        raise InvalidInput(f"spec: {'; '.join(problems)}")
    since = datetime.fromtimestamp(max(0.0, now - age_s), UTC).strftime("%Y-%m-%d") if age_s else ""
    return TrainSpec(
        base=message.base_version,
        base_digest="",
        region=message.region,
        since=since,
        executor=_EXECUTORS[message.executor],
        ray_address=message.ray_address,
        code=message.code,
        replay=message.replay_digest,
        holdout=message.holdout or 0.2,
        settings=dict(message.settings),
        rollout=message.rollout,
        quantise=message.quantise or BEST,
        max_loss=message.max_loss,
        confidence=message.confidence,
    )


def write_training(job: Training, whole: bool = True) -> pb.Training:
    """A training; without its result unless it is to be `whole`."""
    message = pb.Training(
        name=job.name,
        spec=_write_spec(job.spec, job.created),
        state=_STATES[job.state],
        reason=job.reason,
        doing=job.doing,
        progress=job.progress,
        create_time=timestamp(job.created),
        update_time=timestamp(job.updated or job.created),
        revision=job.revision,
        trigger=job.trigger,
    )
    if job.ended is not None:
        message.end_time.CopyFrom(timestamp(job.ended))
    if whole and job.result is not None:
        message.result.CopyFrom(_write_result(job.result))
    return message


def read_training_name(name: str) -> tuple[str, str]:
    """The ids in `models/{model}/trainings/{training}`; raises InvalidInput."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "models" or parts[2] != "trainings" or not all(parts) or len(name) > MAX_TEXT:
        raise InvalidInput(f"name is {name[:MAX_TEXT]!r}; expected models/MODEL/trainings/TRAINING")
    return parts[1], parts[3]


def timestamp(seconds: float) -> Timestamp:
    """A Unix time as a message."""
    made = Timestamp()
    made.FromNanoseconds(int(seconds * 1e6) * 1000)
    return made


def _write_spec(spec: TrainSpec, created: float) -> pb.TrainingSpec:
    message = pb.TrainingSpec(
        base_version=spec.base,
        region=spec.region,
        executor=pb.TRAINING_EXECUTOR_RAY if spec.executor is Executor.RAY else pb.TRAINING_EXECUTOR_LOCAL,
        ray_address=spec.ray_address,
        code=spec.code,
        replay_digest=spec.replay,
        holdout=spec.holdout,
        settings=spec.settings,
        rollout=spec.rollout,
        quantise=spec.quantise,
        max_loss=spec.max_loss,
        confidence=spec.confidence,
    )
    if spec.since:
        began = datetime.strptime(spec.since, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
        message.age.FromSeconds(int(max(1.0, created - began)))
    return message


def _write_result(result: TrainResult) -> pb.TrainingResult:
    return pb.TrainingResult(
        version=result.version,
        lessons=result.lessons,
        holdout=result.holdout,
        replayed=result.replayed,
        left_out=result.left_out,
        new_labels=result.new_labels,
        evaluations=[
            pb.Evaluation(
                region=one.region, questions=one.questions, accuracy=one.accuracy, base_accuracy=one.base_accuracy
            )
            for one in result.evaluations
        ],
        code_digest=result.code_digest,
        data_digest=result.data_digest,
        lessons_digest=result.lessons_digest,
        calibration=result.calibration,
        rollout=result.rollout,
        notes=result.notes,
    )
