"""LessonIntakeService of an agent: lessons from agents below, kept here until they are handed on."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Literal, NoReturn

import grpc

from upriver.errors import DiskTrouble, NotAllowed, NotSupported, QueueFull, UpriverError
from upriver.v1 import train_pb2 as pb
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.spool import MAX_LESSON, Entry
from upriver_agent.handing_up.submitting import SERVICE
from upriver_agent.journal import Journal

__all__ = ["MAX_ID", "SERVICE", "LessonIntakeServicer"]
_LOG: Final = logging.getLogger(__name__)
MAX_ID: Final = 200
MOST: Final = 1000
_GROUP: Final = 50
_WAIT_S: Final = 20.0
_CODES: Final = {
    NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    NotSupported: grpc.StatusCode.UNIMPLEMENTED,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DiskTrouble: grpc.StatusCode.UNAVAILABLE,
}


class LessonIntakeServicer:
    """Takes lessons in; `journal` None says that this agent hands none up."""

    def __init__(
        self,
        journal: Journal | None,
        access: Literal["authenticated", "network"],
        most_bytes: int,
        stir: Callable[[], None],
        blocking: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`access` says who may hand lessons to this agent; `blocking` marks a serving thread as waiting."""
        self._journal = journal
        self._access = access
        self._most_bytes = most_bytes
        self._stir = stir
        self._blocking = blocking

    def submit_lessons(
        self, requests: Iterator[pb.SubmitLessonsRequest], context: grpc.ServicerContext
    ) -> pb.SubmitLessonsResponse:
        """Keeps lessons, and forgets those that were forgotten below; what was said is on the disk."""
        response = pb.SubmitLessonsResponse()
        try:
            if self._journal is None:
                raise NotSupported("this agent hands no lessons up (learning.share); hand them to another one")
            if self._access != "network" and not context.peer_identities():
                raise NotAllowed(
                    "lessons are taken from agents with a certificate (mutual TLS); set learning.trust = 'network' on"
                    " this agent to take them from anybody who reaches its port"
                )
            with self._blocking():
                self._take(self._journal, requests, response)
        except UpriverError as error:
            _refuse(context, error)
        return response

    def _take(
        self, journal: Journal, requests: Iterator[pb.SubmitLessonsRequest], response: pb.SubmitLessonsResponse
    ) -> None:
        group: list[pb.SubmitLessonsRequest] = []
        for number, request in enumerate(requests, 1):
            group.append(request)
            if len(group) == _GROUP:
                if not self._keep(journal, group, response):
                    return
                group = []
            if number == MOST:
                break
        self._keep(journal, group, response)

    def _keep(self, journal: Journal, group: list[pb.SubmitLessonsRequest], response: pb.SubmitLessonsResponse) -> bool:
        """Keeps some; False when there is no room for all of them."""
        lessons, forgotten = [], []
        for request in group:
            reason = _problem(request)
            if reason:
                id_ = request.lesson.id if request.WhichOneof("part") == "lesson" else request.forgotten.id
                response.refused.add(id=id_[:MAX_ID], reason=reason)
            elif request.WhichOneof("part") == "forgotten":
                forgotten.append(request.forgotten.id)
            else:
                lessons.append(Entry(request.lesson.id, request.lesson.SerializeToString()))

        def change(connection: sqlite3.Connection) -> list[str]:
            noted = spool.forget(connection, forgotten, self._most_bytes)
            return noted + spool.put(connection, lessons, self._most_bytes)

        if lessons or forgotten:
            try:
                kept = journal.write(change).result(_WAIT_S)
            except TimeoutError as error:
                raise DiskTrouble(f"the disk of this agent did not take lessons within {_WAIT_S:.0f} s") from error
            response.kept.extend(kept)
            self._stir()
            return len(kept) == len(forgotten) + len(lessons)
        return True


def _problem(request: pb.SubmitLessonsRequest) -> str:
    """Why a part is not taken; empty when it is."""
    part = request.WhichOneof("part")
    if part is None:
        return "it is neither a lesson nor a forgotten one"
    id_ = request.lesson.id if part == "lesson" else request.forgotten.id
    if not 0 < len(id_) <= MAX_ID or not id_.isprintable():
        return f"its id has {len(id_)} characters; expected 1 to {MAX_ID} that can be printed"
    if part == "lesson" and request.lesson.ByteSize() > MAX_LESSON:
        return f"it takes {request.lesson.ByteSize()} bytes; expected at most {MAX_LESSON}"
    return ""


def _refuse(context: grpc.ServicerContext, error: UpriverError) -> NoReturn:
    _LOG.debug("a submission of lessons is refused: %s", error)
    context.abort(_CODES.get(type(error), grpc.StatusCode.INTERNAL), str(error)[:500])
    raise AssertionError("abort returns never")
