"""Trainings and lineages as JSON."""

from typing import Any

from upriver.v1 import train_pb2 as pb
from upriver_control.telling.learning import training_state
from upriver_control.telling.times import moment


def training_document(training: pb.Training) -> dict[str, Any]:
    """A training for programs."""
    spec = training.spec
    executor = "ray" if spec.executor == pb.TRAINING_EXECUTOR_RAY else "local"
    return {
        "name": training.name,
        "state": training_state(training),
        "reason": training.reason,
        "doing": training.doing,
        "progress": training.progress,
        "trigger": training.trigger,
        "base": spec.base_version,
        "region": spec.region,
        "executor": executor,
        "code": spec.code,
        "replay": spec.replay_digest,
        "holdout": spec.holdout,
        "settings": dict(spec.settings),
        "created": moment(training.create_time),
        "ended": moment(training.end_time) if training.HasField("end_time") else None,
        "result": result_document(training.result) if training.HasField("result") else None,
    }


def result_document(result: pb.TrainingResult) -> dict[str, Any]:
    """What came out, for programs."""
    return {
        "version": result.version,
        "lessons": result.lessons,
        "holdout": result.holdout,
        "replayed": result.replayed,
        "left_out": dict(result.left_out),
        "new_labels": list(result.new_labels),
        "evaluations": [
            {"region": one.region, "questions": one.questions, "accuracy": one.accuracy, "base": one.base_accuracy}
            for one in result.evaluations
        ],
        "code_digest": result.code_digest,
        "data_digest": result.data_digest,
        "lessons_digest": result.lessons_digest,
        "calibration": result.calibration,
        "rollout": result.rollout,
        "notes": list(result.notes),
    }


def lineage_document(ancestors: list[pb.Ancestor]) -> list[dict[str, Any]]:
    """A version and its ancestors, for programs."""
    return [
        {
            "version": one.version,
            "digest": one.digest,
            "created": moment(one.create_time),
            "training_data": one.training_data,
            "metrics": dict(one.metrics),
            "conversion": one.conversion,
            "policies": list(one.policies),
            "source_digest": one.source_digest,
            "training": training_document(one.training) if one.HasField("training") else None,
        }
        for one in ancestors
    ]
