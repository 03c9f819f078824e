"""LessonService over a real server: pages, choices that are refused, who may do what."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import grpc
import pytest

from tests.unit.agent.lessons.making import DIGEST, WAIT_S, lesson, opened
from upriver.errors import InvalidInput, NotAllowed, NotNow, NotSupported
from upriver.refusals import error_of
from upriver.services import Stub, handlers
from upriver.v1 import lesson_pb2 as pb
from upriver_agent.sealing import Seal
from upriver_agent.transport.lessons import SERVICE, LessonDesk, LessonServicer


@contextmanager
def served(book, off="", seal=None, access="network"):
    desk = LessonDesk(book, off, seal, lambda: {"digits": ""}, lambda: frozenset({DIGEST}), lambda: {"held": 2})
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([handlers(SERVICE, LessonServicer(desk, access, nullcontext))])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Stub(channel, SERVICE)
    finally:
        server.stop(None)


def refused(call, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=WAIT_S)
    return error_of(caught.value, "it")


def test_pages_follow_each_other_and_end(tmp_path):
    with opened(tmp_path) as book, served(book) as stub:
        book.offer([lesson(number) for number in range(7)])
        found, token, pages = [], "", 0
        while True:
            request = pb.ListLessonsRequest(page_size=3, page_token=token)
            reply = stub.ListLessons(request, timeout=WAIT_S)
            found += [one.id for one in reply.lessons]
            token, pages = reply.next_page_token, pages + 1
            if not token:
                break
        assert (found, pages) == ([lesson(number).id for number in range(7)], 3)
        assert not any(one.embedding or one.input for one in reply.lessons)


def test_what_is_large_comes_in_more_pages(tmp_path):
    with opened(tmp_path, max_bytes=1 << 26) as book, served(book) as stub:
        book.offer([lesson(number, consent=True, input=b"x" * 600_000) for number in range(3)])
        request = pb.ListLessonsRequest(include_input=True, include_embedding=True)
        reply = stub.ListLessons(request, timeout=WAIT_S)
        assert [len(one.input) for one in reply.lessons] == [600_000]
        assert reply.lessons[0].embedding == lesson(0).embedding.tobytes()
        assert reply.next_page_token


def test_statistics_tell_classes_teachers_and_counters(tmp_path):
    with opened(tmp_path) as book, served(book) as stub:
        book.offer([lesson(1), lesson(2), lesson(3, "5", teacher="liar")])
        for _ in range(3):
            book.contradicted("liar", "sha256:up", False)
        told = stub.GetLessonStats(pb.GetLessonStatsRequest(), timeout=WAIT_S)
        classes = {(one.label, one.state, one.lessons, one.used) for one in told.classes}
        assert classes == {("7", pb.LESSON_STATE_TAKEN, 2, True), ("5", pb.LESSON_STATE_ASIDE, 1, True)}
        teachers = {one.agent: (one.taken, one.idle, one.quarantined, one.audits) for one in told.teachers}
        assert teachers == {"cloud-1": (2, 0, False, 0), "liar": (0, 1, True, 3)}
        assert told.teachers[1].quarantine_time.seconds == 2000
        assert (told.counters["held"], told.counters["taken"]) == (2, 3)
        assert 0 < told.bytes < told.max_bytes
        assert stub.ReleaseTeacher(pb.ReleaseTeacherRequest(agent="liar"), timeout=WAIT_S).lessons == 1
        assert isinstance(refused(stub.ReleaseTeacher, pb.ReleaseTeacherRequest(agent="liar")), NotNow)


def test_an_input_whose_key_is_lost_is_told_and_nothing_else_is_lost(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 32)
    old, new = Seal(tmp_path / "a"), Seal(tmp_path / "b")
    with opened(tmp_path) as book:
        one = lesson(1, consent=True, input=old.seal(b"pixels", lesson(1).id), sealed=old.name)
        book.offer([one, lesson(2)])
        for seal, told in ((old, b"pixels"), (new, b""), (None, b"")):
            with served(book, seal=seal) as stub:
                request = pb.ExportLessonsRequest(include_input=True)
                replies = list(stub.ExportLessons(request, timeout=WAIT_S))
                found = [one for reply in replies for one in reply.lessons]
                assert replies[0].total == len(found) == 2
                assert found[0].input == told
                assert (old.name in found[0].input_problem) == (not told)
                assert found[0].embedding == one.embedding.tobytes()


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (pb.ForgetLessonsRequest(), "which lessons"),
        (pb.ForgetLessonsRequest(choice=pb.LessonChoice(ids=[""])), "empty"),
        (pb.ForgetLessonsRequest(choice=pb.LessonChoice(ids=["a"] * 201)), "201 ids"),
        (pb.ForgetLessonsRequest(choice=pb.LessonChoice(label="x" * 301)), "301 characters"),
        (pb.ForgetLessonsRequest(choice=pb.LessonChoice(label="7", state=99)), "state 99"),
        (pb.ListLessonsRequest(page_size=-1), "page_size"),
        (pb.ListLessonsRequest(page_token="next"), "page_token"),  # noqa: S106 - a page's, and no secret
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(tmp_path, request_, told):
    with opened(tmp_path) as book, served(book) as stub:
        book.offer([lesson(1)])
        call = stub.ForgetLessons if isinstance(request_, pb.ForgetLessonsRequest) else stub.ListLessons
        error = refused(call, request_)
        assert isinstance(error, InvalidInput)
        assert told in str(error)
        assert stub.ForgetLessons(pb.ForgetLessonsRequest(dry_run=True), timeout=WAIT_S).lessons == 1
        assert stub.ForgetLessons(pb.ForgetLessonsRequest(all=True), timeout=WAIT_S).lessons == 1


def test_many_ids_are_forgotten_at_once(tmp_path):
    with opened(tmp_path) as book, served(book) as stub:
        lessons = [lesson(number) for number in range(220)]
        book.offer(lessons)
        choice = pb.LessonChoice(ids=[one.id for one in lessons[:200]])
        assert stub.ForgetLessons(pb.ForgetLessonsRequest(choice=choice), timeout=WAIT_S).lessons == 200


def test_strangers_are_refused_and_an_agent_without_lessons_says_why(tmp_path):
    with opened(tmp_path) as book:
        with served(book, access="authenticated") as stub:
            error = refused(stub.GetLessonStats, pb.GetLessonStatsRequest())
            assert isinstance(error, NotAllowed)
            assert "learning.access" in str(error)
            with pytest.raises(grpc.RpcError):
                list(stub.ExportLessons(pb.ExportLessonsRequest(), timeout=WAIT_S))
        with served(book, off="learning is off") as stub:
            error = refused(stub.GetLessonStats, pb.GetLessonStatsRequest())
            assert isinstance(error, NotSupported)
            assert "learning is off" in str(error)
