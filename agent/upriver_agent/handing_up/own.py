"""The lessons that were learnt here and may be handed up: those that count, and whose input was kept."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import DiskTrouble, InvalidInput
from upriver.oip.v2 import inference_pb2 as oip
from upriver.tensors import Datatype, Tensor, encode_raw
from upriver.v1 import train_pb2 as pb
from upriver_agent import wire
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.spool import MAX_LESSON, Entry
from upriver_agent.lessons.book import LessonBook
from upriver_agent.lessons.lesson import Lesson
from upriver_agent.lessons.table import COLUMNS, FROM, LessonDamaged, lesson_of
from upriver_agent.place import Place
from upriver_agent.sealing import Seal, open_input

_LOG: Final = logging.getLogger(__name__)
MOST: Final = 50
"""Lessons that one look puts into what waits."""
_TODO: Final = (
    f"SELECT {COLUMNS}, input FROM handing_todo CROSS JOIN {FROM} WHERE lesson.seq = handing_todo.seq"  # noqa: S608 - constants
    " ORDER BY handing_todo.seq LIMIT ?"
)
_CLEANED: Final = 1000
"""After so many looks what is noted of lessons that are gone is removed, for which all are gone through."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lessons come from. `version_of` gives the digest of the version that an agent serves of a model now, as far
    as that is known, else empty."""

    place: Place
    version_of: Callable[[str, str], str]


class OwnLessons:
    """Puts lessons of a book into what waits, each once, in one transaction with the note of it.

    What is forgotten in the book is forgotten here in the same transaction.
    """

    def __init__(self, book: LessonBook, seal: Seal | None, origin: Origin) -> None:
        """`seal` opens inputs that were sealed."""
        self._journal = book.journal
        self._seal = seal
        self._origin = origin
        self._looks = 0
        book.forgetting.append(spool.forget_own)

    def collect(self, most_bytes: int) -> bool:
        """Puts lessons that may be handed up and are not there yet into what waits; says whether there may be more.

        Raises DiskTrouble.
        """

        def change(connection: sqlite3.Connection) -> bool:
            rows = connection.execute(_TODO, (MOST,)).fetchall()
            entries, numbers, useless = [], [], []
            for row in rows:
                entry = self._entry(row)
                if entry is None:
                    useless.append(int(row[0]))
                else:
                    entries.append(entry)
                    numbers.append(int(row[0]))
            kept = set(spool.put(connection, entries, most_bytes))
            seen = [number for number, entry in zip(numbers, entries, strict=True) if entry.id in kept]
            spool.saw(connection, [*seen, *useless])
            self._looks += 1
            if self._looks % _CLEANED == 1:
                connection.execute("DELETE FROM handing_seen WHERE seq NOT IN (SELECT seq FROM lesson)")
            return len(rows) == MOST and len(seen) + len(useless) == len(rows)

        return self._journal.write(change).result()

    def _entry(self, row: Sequence[object]) -> Entry | None:
        """A lesson as it is handed up; None, and told, for one that nobody can make anything of."""
        try:
            lesson = lesson_of(tuple(row))
            body = self._message(lesson).SerializeToString()
            if len(body) > MAX_LESSON:
                raise InvalidInput(f"lesson {lesson.id} takes {len(body)} bytes; expected at most {MAX_LESSON}")
            return Entry(lesson.id, body)
        except (LessonDamaged, DiskTrouble, InvalidInput) as error:
            _LOG.warning("a lesson is not handed up: %s", error)
            return None

    def _message(self, lesson: Lesson) -> pb.HandedLesson:
        data = open_input(lesson.input, lesson.sealed, lesson.id, self._seal)
        try:
            request = wire.read_request(oip.ModelInferRequest.FromString(data))
        except DecodeError as error:
            raise InvalidInput(f"the input of lesson {lesson.id} can't be read: {error}") from error
        place, seconds = self._origin.place, int(lesson.at)
        message = pb.HandedLesson(
            id=lesson.id,
            agent=place.agent,
            tier=place.tier,
            region=place.region,
            model=lesson.model,
            version_digest=lesson.version_digest,
            learnt_time=Timestamp(seconds=seconds, nanos=int((lesson.at - seconds) * 1e9)),
            inputs=[_input(tensor) for tensor in request.inputs.values()],
            label=lesson.label,
            labels=list(lesson.probabilities),
            scores=list(lesson.probabilities.values()),
            confidence=min(1.0, max(0.0, float(np.nan_to_num(lesson.teacher_confidence)))),
            own_label=lesson.student_label,
            own_confidence=min(1.0, max(0.0, float(np.nan_to_num(lesson.student_confidence)))),
            teacher_agent=lesson.teacher,
            teacher_tier=lesson.teacher_tier,
            trace=lesson.trace_id,
            span=lesson.span_id,
        )
        if lesson.policy:
            message.teacher_version_digest = self._origin.version_of(lesson.teacher, lesson.model)
        return message


def _input(tensor: Tensor) -> pb.HandedInput:
    """One row of an input, without the rows' axis."""
    shape = list(tensor.array.shape[1:])
    if tensor.datatype != Datatype.BYTES:
        data = encode_raw(tensor.array, tensor.datatype)
    elif tensor.array.size == 1:
        data = tensor.array.reshape(-1)[0]
    else:
        raise InvalidInput(f"input {tensor.name!r} has {tensor.array.size} texts: expected one")
    return pb.HandedInput(name=tensor.name, datatype=tensor.datatype, shape=shape, data=data)
