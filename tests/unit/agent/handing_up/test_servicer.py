"""What an agent takes from agents below, and what it says of it."""

from contextlib import nullcontext

import grpc
import pytest

from tests.handed_lessons import lesson
from tests.unit.agent.handing_up.memory import Memory
from upriver.v1 import train_pb2 as pb
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.servicer import MOST, LessonIntakeServicer
from upriver_agent.handing_up.spool import MAX_LESSON


class Refused(Exception):
    """The call was ended with a status."""


class Context:
    """A call; `identities` are the caller's."""

    def __init__(self, identities=None):
        self.identities = identities

    def peer_identities(self):
        return self.identities

    def abort(self, code, message):
        raise Refused(code, message)


def submit(journal, parts, access="network", most_bytes=1 << 20, context=None):
    stirred = []
    servicer = LessonIntakeServicer(journal, access, most_bytes, lambda: stirred.append(True), nullcontext)
    answer = servicer.submit_lessons(iter(parts), context or Context())
    return list(answer.kept), {one.id: one.reason for one in answer.refused}, stirred


def taught(*names, **more):
    return [pb.SubmitLessonsRequest(lesson=lesson(name, **more)) for name in names]


def forgotten(*names):
    return [pb.SubmitLessonsRequest(forgotten=pb.ForgottenLesson(id=name)) for name in names]


def test_what_is_told_as_kept_waits_and_what_came_before_is_told_so_too():
    journal = Memory()
    assert submit(journal, taught("a", "b")) == (["a", "b"], {}, [True])
    assert submit(journal, taught("b", "c"))[0] == ["b", "c"]
    assert journal.left() == ["a", "b", "c"]
    body = journal.read(lambda connection: spool.waiting(connection, 1, 1 << 20))[0].body
    assert pb.HandedLesson.FromString(body) == lesson("a")


def test_a_forgotten_lesson_goes_and_the_news_of_it_is_passed_on():
    journal = Memory()
    submit(journal, taught("a", "b"))
    assert submit(journal, forgotten("a", "never seen"))[0] == ["a", "never seen"]
    assert journal.left() == ["a", "never seen", "b"]
    assert journal.read(spool.count) == 1


def test_without_room_the_rest_is_to_be_sent_again():
    journal = Memory()
    kept, refused, _ = submit(journal, taught(*map(str, range(200))), most_bytes=60_000)
    assert (len(kept), refused) == (len(journal.left()), {})
    assert 0 < len(kept) < 200
    assert kept == [str(number) for number in range(len(kept))]
    assert submit(journal, taught("more"), most_bytes=60_000)[0] == []


def test_what_was_forgotten_below_waits_there_too_while_there_is_no_room():
    journal = Memory()
    names = [str(number) for number in range(200)]
    assert submit(journal, forgotten(*names), most_bytes=10 * spool.OVERHEAD)[:2] == (names[:10], {})
    assert journal.left() == names[:10]
    assert submit(journal, forgotten("5"), most_bytes=10 * spool.OVERHEAD)[0] == ["5"]


def test_one_call_takes_so_many_at_most():
    journal = Memory()
    assert len(submit(journal, taught(*map(str, range(MOST + 50))), most_bytes=1 << 30)[0]) == MOST


def test_what_nobody_above_would_take_is_refused_with_the_reason():
    long = "x" * 201
    large = taught("large", label="y" * MAX_LESSON)
    nul = [*taught("b\0"), *forgotten("c\0")]  # PostgreSQL, far above, could not keep it
    parts = [pb.SubmitLessonsRequest(), *taught("", long), *large, *forgotten(long), *nul, *taught("a")]
    kept, refused, _ = submit(Memory(), parts)
    assert kept == ["a"]
    assert "takes" in refused["large"]
    assert "its id has 201 characters" in refused["x" * 200]
    assert "can be printed" in refused["b\0"]
    assert refused["c\0"] == refused["b\0"]


@pytest.mark.parametrize(
    ("journal", "access", "code", "told"),
    [
        (None, "network", grpc.StatusCode.UNIMPLEMENTED, "learning.share"),
        (Memory(), "authenticated", grpc.StatusCode.PERMISSION_DENIED, "learning.trust"),
    ],
)
def test_who_takes_none_and_who_may_not_hand_up_are_told_what_to_set(journal, access, code, told):
    with pytest.raises(Refused) as caught:
        submit(journal, taught("a"), access)
    assert caught.value.args[0] is code
    assert told in caught.value.args[1]
    assert submit(Memory(), taught("a"), "authenticated", context=Context([b"device"]))[0] == ["a"]


def test_a_disk_that_is_full_takes_nothing_and_says_so():
    journal = Memory()
    journal.full = True
    with pytest.raises(Refused) as caught:
        submit(journal, taught("a"))
    assert caught.value.args == (grpc.StatusCode.UNAVAILABLE, "the disk is full")
    journal.full = False
    assert submit(journal, taught("a"))[0] == ["a"]
