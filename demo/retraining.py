"""A whole model, trained from what devices had to ask: the last step of `scripts/demo --learn`.

The control plane trains it in .venv-train, which has TensorFlow, from the lessons that agents handed up with their
images and from digits that it must not forget. Then it is certified for each region and rolled out.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from demo.calibrating import Certified, calibrate
from demo.control import ControlPlane, active_version
from demo.digits import Digits
from demo.learn_provisioning import HOPS_MS, MAX_LOSS, VERSIONS, Begun
from demo.processes import DemoFailed
from demo.regional import LADDER, RegionalMesh
from upriver.errors import UpriverError
from upriver.v1 import train_pb2 as pb
from upriver_control.cli.training import create, upload_sources

PYTHON: Final = Path(__file__).resolve().parents[1] / ".venv-train" / "bin" / "python"
MISSING: Final = (
    f"no whole model is trained: TensorFlow is not here. `scripts/train_demo_models` makes {PYTHON.parents[1].name}, "
    "1.5 GB; then run this again"
)
REPLAYED: Final = 3_000
"""Digits that it knew and must not forget, as many as fit beside some hundred lessons."""
SETTINGS: Final[Mapping[str, float]] = {"epochs": 24, "learning_rate": 1e-3}
_MODEL = "digits"
_SERVICE = pb.DESCRIPTOR.services_by_name["TrainService"]
_HANDED_S, _TRAIN_S, _SENT_S = 30.0, 600.0, 60.0
_ENOUGH = 0.9
"""Of the lessons that agents have, so many have to have come up before the training begins."""


@dataclass(frozen=True)
class Retrained:
    """What came of it: the version's name, what it was trained on, and what is certified of it by region."""

    version: str
    lessons: int
    holdout: int
    replayed: int
    labels: tuple[str, ...]
    evaluations: Mapping[str, tuple[float, float]]
    """By region (empty: what was replayed): the shares of untouched lessons that it and its base answer as they say."""
    certified: Mapping[str, Certified]
    seconds: float


def can_retrain() -> bool:
    """Whether TensorFlow is here."""
    return PYTHON.exists()


def prepare(control: ControlPlane, version: str, known: Digits, folder: Path) -> None:
    """Keeps the Keras model and digits to be replayed beside a version. Raises UpriverError."""
    replay = folder / "replay.npz"
    labels = np.array([str(label) for label in known.labels[:REPLAYED].tolist()])
    np.savez(replay, image=known.images[:REPLAYED], label=labels)
    upload_sources(control.connection, version, VERSIONS[LADDER[0]] / "source.keras", replay)


def retrain(
    mesh: RegionalMesh,
    control: ControlPlane,
    begun: Begun,
    aside: Mapping[str, Digits],
    lessons: int,
    console: Console,
    stop: threading.Event,
) -> Retrained | None:
    """Trains, certifies and rolls out; comes back when all devices answer with it. Raises DemoFailed.

    `aside` are digits such as each region asks about, `lessons` is how many its devices have together. None when it was
    stopped; what is under way then ends with the control plane.
    """
    started = time.monotonic()
    work: Future[tuple[pb.Training, Mapping[str, Certified]]] = Future()
    with console.status("lessons go up to the control plane") as shown:

        def run() -> None:
            try:
                work.set_result(_retrained(mesh, control, begun, aside, lessons, shown.update))
            except BaseException as error:  # noqa: BLE001 - the future carries it to who waits
                work.set_exception(error)

        # Not of an executor: for those the interpreter waits when it ends, and this one may look for a control plane.
        threading.Thread(target=run, name="demo-retraining", daemon=True).start()
        while not work.done():
            if stop.wait(0.25):
                return None
    training, certified = work.result()
    found = training.result
    return Retrained(
        found.version,
        found.lessons,
        found.holdout,
        found.replayed,
        tuple(found.new_labels),
        {one.region: (one.accuracy, one.base_accuracy) for one in found.evaluations},
        certified,
        time.monotonic() - started,
    )


def _retrained(
    mesh: RegionalMesh,
    control: ControlPlane,
    begun: Begun,
    aside: Mapping[str, Digits],
    lessons: int,
    tell: Callable[[str], None],
) -> tuple[pb.Training, Mapping[str, Certified]]:
    try:
        _handed_up(control, round(_ENOUGH * lessons))
        training = _trained(control, begun.versions[LADDER[0]], tell)
        versions = {**begun.versions, LADDER[0]: training.result.version}
        certified = {}
        for region, digits in aside.items():

            def told(what: str, share: float, region: str = region) -> None:
                tell(f"calibrating {training.result.version} for {region}: {what}, {share:.0%}")

            certified[region] = calibrate(control.connection, versions, HOPS_MS, digits, True, told, MAX_LOSS)
            policy = certified[region].policies.get(LADDER[0], "")
            control.roll_out(versions[LADDER[0]], f"tier={LADDER[0]},region={region}", policy=policy)
        tell("sending the devices the new model")
        _wait(mesh, control, versions[LADDER[0]])
    except UpriverError as error:
        raise DemoFailed(f"no model could be trained from the lessons: {error}") from error
    return training, certified


def _handed_up(control: ControlPlane, wanted: int) -> None:
    """Waits, within bounds, until so many lessons have come up."""
    deadline = time.monotonic() + _HANDED_S
    request = pb.SummarizeLessonsRequest(parent=f"models/{_MODEL}")
    while time.monotonic() < deadline:
        found = control.connection.call(_SERVICE, "SummarizeLessons", request).summaries
        if sum(one.lessons for one in found) >= wanted:
            return
        time.sleep(0.5)


def _trained(control: ControlPlane, base: str, tell: Callable[[str], None]) -> pb.Training:
    spec = pb.TrainingSpec(base_version=base, holdout=0.2, settings=SETTINGS, quantise="dynamic-range")
    made = create(control.connection, _MODEL, spec, "")
    watch = pb.WatchTrainingRequest(name=made.name)
    for news in control.connection.stream(_SERVICE, "WatchTraining", watch, _TRAIN_S):
        made = news.training
        tell(f"training {made.name}: {made.doing or 'waiting for its turn'}, {made.progress:.0%}")
    if made.state != pb.TRAINING_STATE_SUCCEEDED:
        raise DemoFailed(f"{made.name} made no version: {made.reason}")
    return made


def _wait(mesh: RegionalMesh, control: ControlPlane, version: str) -> None:
    deadline = time.monotonic() + _SENT_S
    names = {device.name for device in mesh.all_devices}
    wanted = version.rpartition("/")[2]
    while any(active_version(agent, _MODEL) != wanted for name, agent in control.agents().items() if name in names):
        if time.monotonic() > deadline:
            raise DemoFailed(f"not every device has {wanted} after {_SENT_S:.0f} s")
        time.sleep(0.1)
