"""Finds what was asked: in the ticket or the lesson at the touch point, or among the lessons that were handed up.

What is kept as its answer comes with it.

Nothing is shown without leave. A ticket's input is for those whom its agent lets answer it; a lesson has an input only
with its caller's consent; and what was handed up was handed up with it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from upriver.errors import (
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    NotFound,
    NotSupported,
    TicketGone,
    UpriverError,
)
from upriver.oip.v2 import inference_pb2 as oip
from upriver.request import parse_response
from upriver.v1 import lesson_pb2, ticket_pb2, train_pb2
from upriver.v1 import question_pb2 as pb
from upriver_control.calling.asked import Asked, Calls
from upriver_control.calling.handed import handed_inputs, label_of, picture_in
from upriver_control.calling.methods import GET_TICKET, LIST_LESSONS

HandedUp = Callable[[str], train_pb2.HandedLesson | None]
TICKET, LESSON, LESSONS = "ticket", "lesson", "lessons"
CALL_S: Final = 5.0
MAX_BYTES: Final = 3_900_000
"""Of inputs and picture together: callers take 4 MiB unless they are told otherwise."""
NO_CONSENT: Final = (
    "its caller did not let it be kept (the option `learn`), or the agent keeps no inputs (learning.keep_inputs)"
)
TOO_LARGE: Final = "it was too large to be kept with its lesson (learning.max_mib)"
NO_NAME: Final = "a first look settled it, and nothing is kept of such questions"
NOTHING: Final = (
    "the agent has kept nothing of it: no ticket waits for an answer, and no lesson came of it. Inputs are kept of "
    "questions that were answered above, where the caller lets them be (the option `learn`)"
)


class _Kept(NamedTuple):
    """A row as it is kept, with what is kept as its answer and who gave that."""

    inputs: Sequence[train_pb2.HandedInput] = ()
    label: str = ""
    labelled_by: str = ""


class QuestionInputs:
    """Looks for inputs. `handed_up` gives a lesson that is kept here by its id, and blocks."""

    def __init__(self, calls: Calls, handed_up: HandedUp) -> None:
        self._calls = calls
        self._handed_up = handed_up

    async def find(self, asked: Asked, row: int) -> pb.GetQuestionInputResponse:
        """One row of a question, or why it can't be shown; raises InvalidInput for a row that it does not have."""
        rows = max(1, asked.rows)
        if not 0 <= row < rows:
            raise InvalidInput(f"row {row}: the question has {rows}, counted from 0")
        if not asked.question:
            return pb.GetQuestionInputResponse(unavailable=NO_NAME)
        problems: list[str] = []
        for source, look in ((TICKET, self._in_ticket), (LESSON, self._in_lesson), (LESSONS, self._in_lessons)):
            try:
                found = await look(asked, row)
            except (NotFound, TicketGone, NotSupported, ModelNotFound):
                continue  # there is none there
            except UpriverError as error:
                problems.append(str(error))
                continue
            if found.inputs:
                picture = await asyncio.to_thread(picture_in, found.inputs)
                if len(picture) + sum(len(one.data) for one in found.inputs) > MAX_BYTES:
                    picture = b""  # whoever wants to see it has it in the inputs
                return pb.GetQuestionInputResponse(source=source, png=picture, **found._asdict())
        told = dict.fromkeys(problems)  # an agent that can't be called says so twice
        return pb.GetQuestionInputResponse(unavailable="; ".join(told) or NOTHING)

    async def _in_ticket(self, asked: Asked, row: int) -> _Kept:
        id_ = asked.question if asked.rows <= 1 else f"{asked.question}.{row}"
        request = ticket_pb2.GetTicketRequest(name=f"tickets/{id_}", include_input=True)
        ticket = (await self._calls.call(asked.agent, GET_TICKET, request, CALL_S)).ticket
        if not ticket.HasField("input"):
            return _Kept()  # answered: its input was let go, and may be a lesson
        return _Kept(handed_inputs(ticket.input), *_guessed(ticket.guess))

    async def _in_lesson(self, asked: Asked, row: int) -> _Kept:
        choice = lesson_pb2.LessonChoice(ids=[f"{asked.question}.{row}"])
        request = lesson_pb2.ListLessonsRequest(choice=choice, page_size=1, include_input=True)
        found = (await self._calls.call(asked.agent, LIST_LESSONS, request, CALL_S)).lessons
        if not found:
            return _Kept()
        lesson = found[0]
        if not lesson.consent:
            raise Withheld(NO_CONSENT)
        if lesson.input_problem:
            raise Withheld(f"its input is sealed and can't be opened: {lesson.input_problem}")
        if not lesson.input:
            raise Withheld(TOO_LARGE)
        try:
            inputs = handed_inputs(oip.ModelInferRequest.FromString(lesson.input))
        except DecodeError as error:
            raise InvalidInput(f"the input of lesson {lesson.id} can't be read: {error}") from error
        return _Kept(inputs, lesson.label, lesson.teacher)

    async def _in_lessons(self, asked: Asked, row: int) -> _Kept:
        lesson = await asyncio.to_thread(self._handed_up, f"{asked.question}.{row}")
        return _Kept() if lesson is None else _Kept(lesson.inputs, lesson.label, lesson.teacher_agent)


def _guessed(guess: oip.ModelInferResponse) -> tuple[str, str]:
    """The label of a ticket's guess and who made it; empty where it has none, or can't be read."""
    try:
        answer = parse_response(guess, 1, 0.0)[0]
    except InferenceFailed:
        return "", ""
    return label_of(answer), answer.agent or ""


class Withheld(UpriverError):
    """A lesson is there, and its input is not to be shown or not to be had; the text says why."""

    reason = "WITHHELD"
