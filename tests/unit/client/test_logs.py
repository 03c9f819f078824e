"""Lines of the log, and levels that hold for a while."""

import json
import logging
from collections.abc import Iterator

import pytest
from google.protobuf.duration_pb2 import Duration

from upriver import logs
from upriver.errors import InvalidInput
from upriver.log_levels import get_levels, set_levels
from upriver.v1 import log_pb2 as pb

MODULE = "upriver.test_logs"


class Due:
    """A call that is to come at a time."""

    def __init__(self, due: "list[Due]", at: float) -> None:
        self.at = at
        self._due = due
        due.append(self)

    def cancel(self) -> None:
        if self in self._due:
            self._due.remove(self)


class Clock:
    """One that is moved by hand; it knows what is to be called later."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[Due] = []

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, _: object) -> Due:
        return Due(self.due, self.now + seconds)

    def times(self) -> list[float]:
        return [due.at for due in self.due]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger(MODULE)
    yield made
    made.setLevel(logging.NOTSET)


def _record(**extra: str) -> logging.LogRecord:
    return logging.getLogger("a").makeRecord("a", logging.WARNING, "f", 1, "it is %s", ("slow",), None, extra=extra)


def test_a_line_says_which_question_and_trace_it_is_about() -> None:
    about = logs.about(trace="ab" * 16, question="q-1")
    assert json.loads(logs.JsonFormatter().format(_record(**about))).items() >= {
        "trace": "ab" * 16, "question": "q-1", "message": "it is slow"}.items()  # fmt: skip
    assert logs.TextFormatter().format(_record(**about)).endswith(f"it is slow trace={'ab' * 16} question=q-1")


def test_a_line_about_nothing_has_neither() -> None:
    assert "trace" not in json.loads(logs.JsonFormatter().format(_record(**logs.about())))
    assert logs.TextFormatter().format(_record()).endswith("it is slow")


def test_a_level_goes_back_by_itself_to_what_it_was(logger: logging.Logger) -> None:
    logger.setLevel("ERROR")
    clock = Clock()
    setter = logs.LevelSetter(clock, clock.later)
    setter.set({MODULE: "info"}, 50)
    clock.now += 10
    setter.set({MODULE: "debug"}, 60)
    assert logger.level == logging.DEBUG
    assert clock.times() == [170.0]
    clock.now = 150.0
    setter.expire()
    assert clock.times() == [170.0]
    assert logger.level == logging.DEBUG  # the second one holds until 170
    clock.now = 170.0
    setter.expire()
    assert logger.level == logging.ERROR
    assert clock.times() == []


def test_one_call_is_to_come_however_often_levels_are_set(logger: logging.Logger) -> None:
    clock = Clock()
    setter = logs.LevelSetter(clock, clock.later)
    other = logging.getLogger("upriver.test_logs.other")
    for hold_s in (*range(1_000, 20, -20), *range(1_000, 2_000, 20)):
        setter.set({MODULE: "debug"}, hold_s)
        setter.set({other.name: "debug"}, 500)
        assert len(clock.due) == 1
    clock.now += 500
    setter.expire()
    assert (other.level, logger.level) == (logging.NOTSET, logging.DEBUG)
    assert clock.times() == [100.0 + 1_980]
    setter.set({MODULE: ""}, 1)
    assert clock.times() == []


def test_a_level_is_taken_back(logger: logging.Logger) -> None:
    clock = Clock()
    setter = logs.LevelSetter(clock, clock.later)
    setter.set({MODULE: "debug"}, 50)
    assert [held.module for held in setter.set({MODULE: ""}, 50)] == [""]
    assert logger.level == logging.NOTSET


@pytest.mark.parametrize("levels", [{"no.such.module": "debug"}, {MODULE: "loud"}, {MODULE: "debug", "nope": "info"}])
def test_nothing_is_set_when_something_is_wrong(levels: dict[str, str], logger: logging.Logger) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        logs.LevelSetter(Clock(), Clock().later).set(levels, 50)
    assert logger.level == logging.NOTSET


def test_levels_of_the_wire_are_set_and_told_with_their_end(logger: logging.Logger) -> None:
    clock = Clock()
    setter = logs.LevelSetter(clock, clock.later)
    request = pb.SetLogLevelsRequest(levels=[pb.LogLevel(module=MODULE, level="debug")])
    set_levels(setter, request)
    assert clock.times() == [700.0]  # ten minutes
    everything, ours = get_levels(setter).levels
    assert (everything.module, everything.HasField("until_time")) == ("", False)
    assert (ours.module, ours.level, ours.HasField("until_time")) == (MODULE, "debug", True)


@pytest.mark.parametrize("seconds", [0, -1, 86_401])
def test_a_level_holds_for_a_day_at_most(seconds: int, logger: logging.Logger) -> None:
    levels = [pb.LogLevel(module=MODULE, level="debug")]
    request = pb.SetLogLevelsRequest(levels=levels, hold_time=Duration(seconds=seconds))
    with pytest.raises(InvalidInput, match="at most 86400 s"):
        set_levels(logs.LevelSetter(), request)
