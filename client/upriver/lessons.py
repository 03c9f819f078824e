"""Lessons as a client sees them, and which of them are meant. Does no I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from upriver.errors import InvalidInput
from upriver.v1 import lesson_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["LessonService"]
_AGO: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|h|d)")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class LessonState(StrEnum):
    """What a lesson counts: it is learnt from, contradicted, or its teacher is not believed."""

    TAKEN = "taken"
    HELD = "held"
    ASIDE = "aside"


_STATES: Final = {
    LessonState.TAKEN: pb.LESSON_STATE_TAKEN,
    LessonState.HELD: pb.LESSON_STATE_HELD,
    LessonState.ASIDE: pb.LESSON_STATE_ASIDE,
}
_READ: Final[Mapping[int, LessonState]] = {int(value): state for state, value in _STATES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A row that an agent asked above. `learnt_at` is a Unix time.

    `known` is the probability that the agent itself had given to `label`, the teacher's.
    """

    id: str
    model: str
    version_digest: str
    state: LessonState
    learnt_at: float
    student_label: str
    student_confidence: float
    known: float
    label: str
    probabilities: Mapping[str, float]
    teacher: str
    teacher_tier: str
    teacher_policy_digest: str
    teacher_confidence: float
    trace_id: str
    source: str
    draw: float
    consent: bool
    has_input: bool
    embedding: NDArray[np.float16] | None = field(default=None, repr=False)
    """[embedding], where it was asked for."""
    input: bytes = field(default=b"", repr=False)
    """A ModelInferRequest of one row, where it was kept, asked for, and could be opened."""
    input_problem: str = ""
    """Why it could not be opened."""
    span_id: str = ""
    """The question's span at the agent; empty for one that nobody can see."""


def parse_state(value: int) -> LessonState:
    """What a lesson counts; what this client does not know counts as held."""
    return _READ.get(value, LessonState.HELD)


def parse_lesson(message: pb.Lesson) -> Lesson:
    """Makes a lesson of a message; raises InvalidInput for one that can't be read."""
    if len(message.embedding) % 2:
        raise InvalidInput(f"the embedding of lesson {message.id[:80]!r} has {len(message.embedding)} bytes")
    embedding = np.frombuffer(message.embedding, "<f2").astype(np.float16) if message.embedding else None
    return Lesson(
        id=message.id,
        model=message.model,
        version_digest=message.version_digest,
        state=parse_state(message.state),
        learnt_at=seconds(message.learnt_time),
        student_label=message.student_label,
        student_confidence=message.student_confidence,
        known=message.known,
        label=message.label,
        probabilities=dict(message.probabilities),
        teacher=message.teacher,
        teacher_tier=message.teacher_tier,
        teacher_policy_digest=message.teacher_policy_digest,
        teacher_confidence=message.teacher_confidence,
        trace_id=message.trace,
        source=message.source,
        draw=message.draw,
        consent=message.consent,
        has_input=message.has_input,
        embedding=embedding,
        input=message.input,
        input_problem=message.input_problem,
        span_id=message.span,
    )


def seconds(time: Timestamp) -> float:
    """A Unix time."""
    return float(time.seconds + time.nanos / 1e9)


def choice_of(
    ids: Sequence[str] = (),
    model: str = "",
    version_digest: str = "",
    label: str = "",
    source: str = "",
    teacher: str = "",
    since: str = "",
    until: str = "",
    state: LessonState | None = None,
    now: float = 0.0,
) -> pb.LessonChoice:
    """Which lessons are meant. Times are RFC 3339, or so long before `now`: `90m`, `2.5h`, `30d`.

    Raises InvalidInput.
    """
    choice = pb.LessonChoice(
        ids=ids,
        model=model,
        version_digest=version_digest,
        label=label,
        source=source,
        teacher=teacher,
        state=pb.LESSON_STATE_UNSPECIFIED if state is None else _STATES[state],
    )
    for text, time in ((since, "since_time"), (until, "until_time")):
        if text:
            getattr(choice, time).FromNanoseconds(int(moment(text, now) * 1e9))
    return choice


def moment(text: str, now: float) -> float:
    """A Unix time in words: RFC 3339 (without a zone: this machine's), or how long ago; raises InvalidInput."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0.0, now - float(ago[1]) * _UNITS[ago[2]])
    try:
        at = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(f"time {text[:60]!r}: expected for example 2026-05-01T12:00:00Z, 90m, 24h or 30d") from error
    if not 0.0 <= at < 2**33:
        raise InvalidInput(f"time {text[:60]!r}: expected one from 1970 on")
    return at
