"""What `upriver train` shows while it waits, and what it leaves alone."""

import io

import pytest
from rich.console import Console

from upriver.errors import NotNow, Unreachable
from upriver.v1 import train_pb2 as pb
from upriver_control.cli.training import Follow, create, followed

NAME = "models/digits/trainings/t1"


class Played:
    """A connection that gives what it was told to, one after the other; errors are raised."""

    def __init__(self, *played):
        self.played, self.called = list(played), []

    def stream(self, service, method, request, timeout_s=None):
        self.called.append(method)
        while self.played:
            one = self.played.pop(0)
            if isinstance(one, BaseException) or (isinstance(one, type) and issubclass(one, BaseException)):
                raise one
            yield one

    def call(self, service, method, request, timeout_s=10.0):
        self.called.append((method, request.request_id))
        one = self.played.pop(0)
        if isinstance(one, BaseException):
            raise one
        return one


def news(state, doing="", reason="", log=()):
    training = pb.Training(name=NAME, state=getattr(pb, f"TRAINING_STATE_{state}"), doing=doing, reason=reason)
    return pb.WatchTrainingResponse(training=training, log=log)


def follow(connection):
    out = io.StringIO()
    try:
        return followed(connection, pb.Training(name=NAME), Follow(Console(file=out))), out.getvalue()
    except BaseException as error:
        error.add_note(out.getvalue())
        raise


def test_steps_and_lines_of_the_log_are_shown_until_it_has_ended():
    ended, shown = follow(Played(news("RUNNING", "preparing"), news("RUNNING", "training", log=("epoch 1", "epoch 2")),
                                 Unreachable("away for a moment"),
                                 news("RUNNING", "training", log=("epoch 1", "epoch 2", "epoch 2")),
                                 Unreachable("away for a moment"), news("RUNNING", "training", log=("epoch 2", "end")),
                                 news("SUCCEEDED", log=("end",))))  # fmt: skip
    assert ended.state == pb.TRAINING_STATE_SUCCEEDED
    assert [line.strip() for line in shown.splitlines()] == [
        f"training as {NAME}", "preparing", "training", "epoch 1", "epoch 2", "epoch 2", "end", "succeeded",
        "end",
    ]  # fmt: skip


def test_why_it_failed_is_the_error():
    with pytest.raises(NotNow, match="models/digits/trainings/t1 failed: shop:train raised ValueError"):
        follow(Played(news("FAILED", reason="shop:train raised ValueError")))


def test_ctrl_c_leaves_it_running_and_says_how_to_go_on():
    connection = Played(news("RUNNING", "training"), KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        follow(connection)
    (shown,) = caught.value.__notes__
    assert f"{NAME} goes on; watch it with: upriver train watch {NAME}" in shown
    assert connection.called == ["WatchTraining"]  # and nothing was cancelled


def test_asking_again_asks_for_the_same_training():
    connection = Played(Unreachable("away"), pb.CreateTrainingResponse(training=pb.Training(name=NAME)))
    assert create(connection, "digits", pb.TrainingSpec(), "").name == NAME
    (first, second) = connection.called
    assert first == second != ("CreateTraining", "")
