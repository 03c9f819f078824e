"""What `upriver policy calibrate` does: reads data, uploads it, has the control plane work, starts rollouts."""

import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.duration_pb2 import Duration
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from upriver.backoff import full_jitter_s
from upriver.errors import NotFound, NotNow, Unreachable
from upriver.listing import MANIFEST
from upriver.v1 import blob_pb2, registry_pb2, rollout_pb2
from upriver.v1 import policy_pb2 as pb
from upriver_control.cli.connection import Connection
from upriver_control.intake import Input, Written, open_data, read_contract, write_questions
from upriver_control.telling.policies import state_name

SERVICE: Final = pb.DESCRIPTOR.services_by_name["PolicyService"]
_REGISTRY: Final = registry_pb2.DESCRIPTOR.services_by_name["RegistryService"]
_BLOBS: Final = blob_pb2.DESCRIPTOR.services_by_name["BlobService"]
_ROLLOUTS: Final = rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"]
AWAY_S: Final = 60.0
"""A calibration is watched through an absence of the control plane of at most so long."""
_CHUNK: Final = 1 << 18
_LONGEST_RETRY_S: Final = 5.0
_MANIFEST_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Watch:
    """How progress is shown: a bar on a terminal, a line for each step elsewhere, nothing when it is quiet."""

    console: Console

    @contextmanager
    def bar(self) -> Iterator[Progress]:
        """A bar that goes when it is done."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TimeElapsedColumn())  # fmt: skip
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal, transient=True) as progress:
            yield progress

    def line(self, text: str) -> None:
        """A step, where there is no bar."""
        if not self.console.is_terminal:
            self.console.print(text, markup=False, soft_wrap=True)


def contract_of(connection: Connection, model: str, tiers: list[pb.CalibrationTier]) -> tuple[Input, ...]:
    """What a question of the model must have: every version takes the same. Raises NotFound without any version."""
    named = next((tier.version for tier in tiers if tier.version), "")
    if named:
        request = registry_pb2.GetVersionRequest(name=named)
        version = connection.call(_REGISTRY, "GetVersion", request).version
    else:
        listing = registry_pb2.ListVersionsRequest(parent=f"models/{model}", page_size=1)
        versions = connection.call(_REGISTRY, "ListVersions", listing).versions
        if not versions:
            raise NotFound(f"models/{model} has no versions; publish one first: upriver model publish")
        version = versions[0]
    digest = next(file.digest for file in version.files if file.name == MANIFEST)
    parts = connection.stream(_BLOBS, "Fetch", blob_pb2.FetchRequest(digest=digest), _MANIFEST_S)
    return read_contract(b"".join(part.data for part in parts).decode("utf-8", "replace"))


def bring(
    connection: Connection, model: str, path: Path, contract: tuple[Input, ...], watch: Watch, timeout_s: float
) -> Written:
    """Reads the data at a path and uploads it as one file; gives what was uploaded."""
    data = open_data(path, contract)
    with tempfile.TemporaryDirectory(prefix="upriver-calibrate-") as aside:
        questions = Path(aside) / "questions"
        watch.line(f"reading {data.told}")
        with watch.bar() as progress:
            task = progress.add_task(f"reading {data.told}", total=data.rows)
            written = write_questions(data, questions, lambda rows: progress.update(task, completed=rows))
        watch.line(f"uploading {written.questions} questions, {written.size_bytes} bytes")
        with watch.bar() as progress:
            task = progress.add_task("uploading", total=written.size_bytes)
            parts = _parts(model, questions, written, progress, task)
            connection.call(SERVICE, "UploadCalibrationData", parts, timeout_s)
    return written


def _parts(
    model: str, path: Path, written: Written, progress: Progress, task: TaskID
) -> Iterator[pb.UploadCalibrationDataRequest]:
    header = pb.CalibrationDataHeader(parent=f"models/{model}", digest=written.digest, size_bytes=written.size_bytes)
    yield pb.UploadCalibrationDataRequest(header=header)
    with path.open("rb") as stream:
        while data := stream.read(_CHUNK):
            yield pb.UploadCalibrationDataRequest(data=data)
            progress.advance(task, len(data))


def create(connection: Connection, model: str, spec: pb.CalibrationSpec, request_id: str) -> pb.Calibration:
    """Starts a calibration; asks once more when the control plane went away meanwhile."""
    request = pb.CreateCalibrationRequest(
        parent=f"models/{model}", spec=spec, request_id=request_id or uuid.uuid4().hex
    )
    try:
        made: pb.Calibration = connection.call(SERVICE, "CreateCalibration", request).calibration
    except Unreachable:
        made = connection.call(SERVICE, "CreateCalibration", request).calibration
    return made


def recertify(connection: Connection, request: pb.RecertifyPolicyRequest) -> pb.Calibration:
    """Starts a calibration from audits, likewise."""
    try:
        made: pb.Calibration = connection.call(SERVICE, "RecertifyPolicy", request).calibration
    except Unreachable:
        made = connection.call(SERVICE, "RecertifyPolicy", request).calibration
    return made


def finished(connection: Connection, made: pb.Calibration, watch: Watch) -> pb.Calibration:
    """Waits until a calibration has ended, and gives it; raises NotNow with the reason unless it has succeeded."""
    watch.line(f"calibrating as {made.name}")
    last, told = made, ""
    with watch.bar() as progress:
        task = progress.add_task("waiting for its turn", total=100)
        for last in _changes(connection, made.name):
            doing = last.doing or state_name(last)
            progress.update(task, completed=int(100 * last.progress), description=doing)
            if doing != told:
                watch.line(doing)
                told = doing
    if last.state != pb.CALIBRATION_STATE_SUCCEEDED:
        raise NotNow(f"{made.name} {state_name(last)}: {last.reason}")
    return last


def roll_out(
    connection: Connection, calibration: pb.Calibration, rings: list[rollout_pb2.Ring], soak: Duration
) -> list[rollout_pb2.Rollout]:
    """Starts a rollout for each tier that has a new policy; the same again gives the same rollouts."""
    started = []
    for tier in calibration.result.tiers:
        if not tier.policy:
            continue
        strategy = rollout_pb2.Strategy(rings=rings, soak_time=soak, failure_limit=0.1, min_sample=5)
        request = rollout_pb2.CreateRolloutRequest(
            version=tier.version,
            policy=tier.policy,
            selector=f"tier={tier.tier}",
            strategy=strategy,
            request_id=f"{calibration.name}/{tier.tier}",
        )
        started.append(connection.call(_ROLLOUTS, "CreateRollout", request).rollout)
    return started


def _changes(connection: Connection, name: str) -> Iterator[pb.Calibration]:
    """The calibration whenever it changes, until its end, through short absences of the control plane."""
    request, failures, since = pb.WatchCalibrationRequest(name=name), 0, time.monotonic()
    while True:
        try:
            for answer in connection.stream(SERVICE, "WatchCalibration", request):
                failures, since = 0, time.monotonic()
                yield answer.calibration
            return
        except Unreachable:
            failures += 1
            if time.monotonic() - since > AWAY_S:
                raise
        time.sleep(0.1 + full_jitter_s(failures, 0.2, _LONGEST_RETRY_S, random.random))
