"""Lessons as messages, and choices of them from messages."""

import math
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import DiskTrouble, InvalidInput
from upriver.v1 import lesson_pb2 as pb
from upriver_agent.lessons.lesson import Choice, Lesson, State
from upriver_agent.sealing import Seal, open_input

MAX_IDS: Final = 200
_MAX_TEXT: Final = 300
_STATES: Final = {
    State.TAKEN: pb.LESSON_STATE_TAKEN,
    State.HELD: pb.LESSON_STATE_HELD,
    State.ASIDE: pb.LESSON_STATE_ASIDE,
}
_READ: Final = {value: frozenset({state}) for state, value in _STATES.items()}


def write_state(state: State) -> pb.LessonState:
    """What a lesson counts."""
    return _STATES[state]


def write_time(at: float) -> Timestamp:
    """A Unix time."""
    seconds = math.floor(at)
    return Timestamp(seconds=seconds, nanos=int((at - seconds) * 1e9))


def write_lesson(lesson: Lesson, with_embedding: bool, with_input: bool, seal: Seal | None) -> pb.Lesson:
    """A lesson; of an input that can't be opened it says why."""
    message = pb.Lesson(
        id=lesson.id,
        model=lesson.model,
        version_digest=lesson.version_digest,
        state=_STATES[lesson.state],
        learnt_time=write_time(lesson.at),
        student_label=lesson.student_label,
        student_confidence=lesson.student_confidence,
        known=lesson.known,
        label=lesson.label,
        probabilities=lesson.probabilities,
        teacher=lesson.teacher,
        teacher_tier=lesson.teacher_tier,
        teacher_policy_digest=lesson.policy,
        teacher_confidence=lesson.teacher_confidence,
        trace=lesson.trace_id,
        span=lesson.span_id,
        source=lesson.source,
        draw=lesson.draw,
        consent=lesson.consent,
        has_input=lesson.has_input,
    )
    if with_embedding:
        message.embedding = lesson.embedding.astype("<f2").tobytes()
    if with_input and lesson.has_input:
        try:
            message.input = open_input(lesson.input, lesson.sealed, lesson.id, seal)
        except DiskTrouble as error:
            message.input_problem = str(error)
    return message


def read_choice(message: pb.LessonChoice) -> Choice:
    """Which lessons are meant; raises InvalidInput."""
    if len(message.ids) > MAX_IDS:
        raise InvalidInput(f"{len(message.ids)} ids: expected at most {MAX_IDS}")
    for text in (*message.ids, message.model, message.version_digest, message.label, message.source, message.teacher):
        if len(text) > _MAX_TEXT:
            raise InvalidInput(f"{text[:40]!r}… has {len(text)} characters: expected at most {_MAX_TEXT}")
    if any(not id_ for id_ in message.ids):
        raise InvalidInput("an id is empty: expected <question> or <question>.<row>")
    if message.state and message.state not in _READ:
        raise InvalidInput(f"state {message.state} is not known here: expected one of {sorted(_READ)}, or none for all")
    return Choice(
        ids=tuple(message.ids),
        model=message.model,
        version_digest=message.version_digest,
        label=message.label,
        source=message.source,
        teacher=message.teacher,
        since=_read_time(message, "since_time"),
        until=_read_time(message, "until_time"),
        states=_READ.get(message.state, frozenset()),
    )


def _read_time(message: pb.LessonChoice, name: str) -> float | None:
    if not message.HasField(name):
        return None
    time: Timestamp = getattr(message, name)
    return time.seconds + time.nanos / 1e9
