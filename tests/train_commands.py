"""`upriver train` and its neighbours for the tests, in this process; and lessons handed to a control plane."""

from contextlib import contextmanager

import grpc
import numpy as np
import typer
from typer.testing import CliRunner

from tests.handed_lessons import lesson
from tests.trained_versions import pattern
from tests.versions import LABELS
from upriver.cli.root import Partial
from upriver.errors import UpriverError
from upriver.services import Stub
from upriver.v1 import train_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["TrainService"]
INTAKE = pb.DESCRIPTOR.services_by_name["LessonIntakeService"]


def command(app, name, plane, *arguments, status=0):
    """Runs a command in this process and gives what it printed; raises the errors that the command line tells."""
    root = typer.Typer()
    root.add_typer(app, name=name, cls=Partial)
    root.callback()(lambda: None)
    result = CliRunner().invoke(root, [name, *arguments], env=plane.operator())
    if isinstance(result.exception, UpriverError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def taught(number, region="north", **more):
    label = number % 10
    return lesson(f"{region}-{number}", LABELS[label], region, "pattern",
                  pattern(label, np.random.default_rng(number)), labels=(), scores=(), **more)  # fmt: skip


@contextmanager
def channel(plane):
    with grpc.insecure_channel(plane.address) as made:
        yield made


def submit(plane, lessons, forgotten=(), token=None):
    parts = [pb.SubmitLessonsRequest(forgotten=pb.ForgottenLesson(id=id_)) for id_ in forgotten]
    parts += [pb.SubmitLessonsRequest(lesson=one) for one in lessons]
    join = token if token is not None else (plane.state / "join-token").read_text().strip()
    with channel(plane) as made:
        return Stub(made, INTAKE).SubmitLessons(
            iter(parts), timeout=60, metadata=(("authorization", f"Bearer {join}"),)
        )
