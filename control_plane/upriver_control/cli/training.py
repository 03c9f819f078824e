"""What `upriver train` does: starts a training and follows it; the control plane works whether anybody looks or not."""

import hashlib
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from upriver.backoff import full_jitter_s
from upriver.errors import ConfigError, NotNow, Unreachable
from upriver.v1 import train_pb2 as pb
from upriver_control.cli.calibrating import Watch, bring, contract_of
from upriver_control.cli.connection import Connection
from upriver_control.intake import open_data, write_questions
from upriver_control.telling.learning import training_state

SERVICE: Final = pb.DESCRIPTOR.services_by_name["TrainService"]
AWAY_S: Final = 60.0
_MOST_LINES: Final = 1000
_CHUNK: Final = 1 << 18
_LONGEST_RETRY_S: Final = 5.0
_UPLOAD_S: Final = 3600.0
WHAT: Final = "upriver train"


@dataclass(frozen=True, slots=True)
class Follow:
    """How a training is shown: a bar on a terminal, a line for each step elsewhere; with `log` what it prints."""

    console: Console
    log: bool = True


def create(connection: Connection, model: str, spec: pb.TrainingSpec, request_id: str) -> pb.Training:
    """Starts a training; asks once more when the control plane went away meanwhile."""
    request = pb.CreateTrainingRequest(parent=f"models/{model}", spec=spec, request_id=request_id or uuid.uuid4().hex)
    try:
        made: pb.Training = connection.call(SERVICE, "CreateTraining", request).training
    except Unreachable:
        made = connection.call(SERVICE, "CreateTraining", request).training
    return made


def upload_replay(connection: Connection, model: str, path: Path, console: Console) -> str:
    """Uploads questions that must not be forgotten for one training; gives their digest."""
    contract = contract_of(connection, model, [])
    return bring(connection, model, path, contract, Watch(console), _UPLOAD_S).digest


def upload_sources(connection: Connection, version: str, source: Path | None, replay: Path | None) -> None:
    """Keeps what a version is trained from beside it. Raises ConfigError for a file that can't be it."""
    if source is not None:
        if source.suffix != ".keras" or not source.is_file():
            raise ConfigError("upriver model publish", [f"--source {source}: expected a Keras file, .keras"])
        _upload(connection, version, pb.SOURCE_KIND_KERAS, source)
    if replay is not None:
        model = version.split("/")[1]
        with tempfile.TemporaryDirectory(prefix="upriver-replay-") as aside:
            data = open_data(replay, contract_of(connection, model, []))
            questions = Path(aside) / "questions"
            write_questions(data, questions, lambda rows: None)
            _upload(connection, version, pb.SOURCE_KIND_REPLAY, questions)


def _upload(connection: Connection, version: str, kind: Any, path: Path) -> None:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()

    def parts() -> Iterator[pb.UploadSourceRequest]:
        header = pb.SourceHeader(version=version, kind=kind, digest=f"sha256:{digest}", size_bytes=path.stat().st_size)
        yield pb.UploadSourceRequest(header=header)
        with path.open("rb") as stream:
            while data := stream.read(_CHUNK):
                yield pb.UploadSourceRequest(data=data)

    connection.call(SERVICE, "UploadSource", parts(), _UPLOAD_S)


def followed(connection: Connection, made: pb.Training, follow: Follow) -> pb.Training:
    """Waits until a training has ended, and gives it; raises NotNow with the reason unless it has succeeded.

    Ctrl-C leaves it running.
    """
    watch = Watch(follow.console)
    watch.line(f"training as {made.name}")
    last, told = made, ""
    try:
        with watch.bar() as progress:
            task = progress.add_task("waiting for its turn", total=100)
            for answer in _changes(connection, made.name, follow.log):
                last = answer.training
                doing = last.doing or training_state(last)
                progress.update(task, completed=int(100 * last.progress), description=doing)
                if doing != told:
                    watch.line(doing)
                    told = doing
                for line in answer.log:
                    progress.console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        follow.console.print(
            f"{made.name} goes on; watch it with: upriver train watch {made.name}, end it with: upriver train cancel"
            f" {made.name}",
            markup=False,
            soft_wrap=True,
        )
        raise
    if last.state != pb.TRAINING_STATE_SUCCEEDED:
        raise NotNow(f"{made.name} {training_state(last)}: {last.reason}")
    return last


def _changes(connection: Connection, name: str, log: bool) -> Iterator[pb.WatchTrainingResponse]:
    """News of the training until its end, through short absences of the control plane; each line of the log once."""
    request, failures, since = pb.WatchTrainingRequest(name=name, log=log), 0, time.monotonic()
    shown: list[str] = []
    while True:
        begins = True
        try:
            for answer in connection.stream(SERVICE, "WatchTraining", request):
                failures, since = 0, time.monotonic()
                if begins:  # with all lines that are kept
                    del answer.log[: _overlap(shown, answer.log)]
                begins = False
                shown = [*shown, *answer.log][-_MOST_LINES:]
                yield answer
            return
        except Unreachable:
            failures += 1
            if time.monotonic() - since > AWAY_S:
                raise
        time.sleep(0.1 + full_jitter_s(failures, 0.2, _LONGEST_RETRY_S, random.random))


def _overlap(before: Sequence[str], after: Sequence[str]) -> int:
    """How many lines at the end of the one are at the beginning of the other."""
    return next(many for many in range(len(before), -1, -1) if [*before[len(before) - many :]] == [*after[:many]])
