"""LessonService: convert, ask the book, convert back; and who may see lessons and forget them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal

import grpc

from upriver.errors import InvalidInput, NotAllowed, NotSupported, UpriverError
from upriver.v1 import lesson_pb2 as pb
from upriver_agent.lessons import looking
from upriver_agent.lessons.book import LessonBook
from upriver_agent.lessons.lesson import State
from upriver_agent.sealing import Seal
from upriver_agent.transport.lesson_wire import read_choice, write_lesson, write_state, write_time
from upriver_agent.transport.status import refuse

SERVICE: Final = pb.DESCRIPTOR.services_by_name["LessonService"]
_PAGE, _MAX_PAGE = 100, 1000
_PAGE_BYTES: Final = 1 << 20
_EXPORTED: Final = 100
_MAX_EXPORTED_WITH_INPUT: Final = 20

Access = Literal["authenticated", "network"]


@dataclass(frozen=True, slots=True)
class LessonDesk:
    """What the service tells of. `off` says why there are no lessons, empty when there are.

    `models` gives for each model that answers why it learns nothing, and `versions` the digests that answer;
    `counters` what has become of answers since the start.
    """

    book: LessonBook
    off: str
    seal: Seal | None
    models: Callable[[], Mapping[str, str]]
    versions: Callable[[], frozenset[str]]
    counters: Callable[[], Mapping[str, int]]


class LessonServicer:
    """The lessons of one agent."""

    def __init__(self, desk: LessonDesk, access: Access, blocking: Callable[[], AbstractContextManager[None]]) -> None:
        """`access` says who may see and forget them; `blocking` marks a serving thread as waiting."""
        self._desk = desk
        self._access = access
        self._blocking = blocking

    def list_lessons(self, request: pb.ListLessonsRequest, context: grpc.ServicerContext) -> pb.ListLessonsResponse:
        """Lists lessons in the order in which they were kept."""
        try:
            book = self._open(context, "listing lessons")
            if request.page_size < 0:
                raise InvalidInput(f"page_size {request.page_size}: expected at least 0")
            limit = min(request.page_size or _PAGE, _MAX_PAGE)
            if request.include_input:
                limit = min(limit, _PAGE)
            choice, after = read_choice(request.choice), _token(request.page_token)
            reply = pb.ListLessonsResponse()
            with self._blocking():
                found = book.page(choice, after, limit, request.include_input)
                size = last = 0
                for lesson in found:
                    size += len(lesson.input) + lesson.embedding.nbytes
                    if last and size > _PAGE_BYTES:
                        break
                    last = lesson.seq
                    reply.lessons.append(
                        write_lesson(lesson, request.include_embedding, request.include_input, self._desk.seal)
                    )
                if found and book.page(choice, last, 1):
                    reply.next_page_token = str(last)
            return reply
        except UpriverError as error:
            refuse(context, error)

    def get_lesson_stats(
        self, request: pb.GetLessonStatsRequest, context: grpc.ServicerContext
    ) -> pb.GetLessonStatsResponse:
        """How things stand."""
        try:
            book = self._open(context, "lessons' statistics")
            desk = self._desk
            with self._blocking():
                reply = pb.GetLessonStatsResponse(
                    counters=desk.counters(),
                    max_bytes=book.options.max_bytes,
                    models=desk.models(),
                    trouble=book.journal.trouble,
                )
                self._tell_classes(book, reply)
                self._tell_teachers(book, reply)
            return reply
        except UpriverError as error:
            refuse(context, error)

    def export_lessons(
        self, request: pb.ExportLessonsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExportLessonsResponse]:
        """Sends all lessons of a choice."""
        try:
            book = self._open(context, "exporting lessons")
            choice = read_choice(request.choice)
            with self._blocking():
                reply = pb.ExportLessonsResponse(total=book.count(choice)[0])
            yield reply
            after, limit = 0, _MAX_EXPORTED_WITH_INPUT if request.include_input else _EXPORTED
            while context.is_active():
                with self._blocking():
                    found = book.page(choice, after, limit, request.include_input)
                if not found:
                    return
                after = found[-1].seq
                written = [write_lesson(one, True, request.include_input, self._desk.seal) for one in found]
                size = 1 if request.include_input else len(written)  # inputs may be large
                for start in range(0, len(written), size):
                    yield pb.ExportLessonsResponse(lessons=written[start : start + size])
        except UpriverError as error:
            refuse(context, error)

    def forget_lessons(
        self, request: pb.ForgetLessonsRequest, context: grpc.ServicerContext
    ) -> pb.ForgetLessonsResponse:
        """Forgets, or tells how many there are."""
        try:
            book = self._open(context, "forgetting lessons")
            choice = read_choice(request.choice)
            if choice.of_all and not (request.all or request.dry_run):
                raise InvalidInput("which lessons? give ids, a time, a source, a class or a teacher, or say all")
            with self._blocking():
                count = book.count(choice)[0] if request.dry_run else book.forget(choice)
            return pb.ForgetLessonsResponse(lessons=count)
        except UpriverError as error:
            refuse(context, error)

    def release_teacher(
        self, request: pb.ReleaseTeacherRequest, context: grpc.ServicerContext
    ) -> pb.ReleaseTeacherResponse:
        """Believes a teacher again."""
        try:
            book = self._open(context, "releasing teachers")
            with self._blocking():
                return pb.ReleaseTeacherResponse(lessons=book.release(request.agent))
        except UpriverError as error:
            refuse(context, error)

    def _tell_classes(self, book: LessonBook, reply: pb.GetLessonStatsResponse) -> None:
        used = self._desk.versions()
        for model, digest, label, state, lessons, size in book.journal.read(looking.classes):
            reply.bytes += size
            reply.classes.add(
                model=model,
                version_digest=digest,
                label=label,
                state=write_state(State(state)),
                lessons=lessons,
                bytes=size,
                used=digest in used,
            )
        for name, count in book.journal.read(looking.tally).items():
            if name != "bytes":
                reply.counters[name] = count

    def _tell_teachers(self, book: LessonBook, reply: pb.GetLessonStatsResponse) -> None:
        counted = {agent: (taken, idle) for agent, taken, idle in book.journal.read(looking.teachers)}
        standings = book.standings()
        for agent in sorted({*counted, *standings}):
            taken, idle = counted.get(agent, (0, 0))
            teacher = reply.teachers.add(agent=agent, taken=taken, idle=idle)
            standing = standings.get(agent)
            if standing is not None:
                teacher.quarantined = standing.quarantined
                teacher.audits = standing.evidence.audits
                teacher.contradictions = standing.evidence.disagreements
                if standing.quarantined:
                    teacher.quarantine_time.CopyFrom(write_time(standing.since))

    def _open(self, context: grpc.ServicerContext, what: str) -> LessonBook:
        if self._desk.off:
            raise NotSupported(f"this agent keeps no lessons: {self._desk.off}")
        if self._access != "network" and not context.peer_identities():
            raise NotAllowed(
                f"{what} is for callers with a certificate (mutual TLS); set learning.access = 'network' on this agent "
                "to let anybody do it who reaches its port"
            )
        return self._desk.book


def _token(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput(f"page_token {text[:80]!r}: expected the next_page_token of an answer")
    return int(text)
