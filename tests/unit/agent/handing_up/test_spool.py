"""What waits to be handed up: once each, bounded, and forgotten for good."""

import sqlite3

import pytest

from upriver.errors import QueueFull
from upriver_agent.handing_up import spool
from upriver_agent.handing_up.spool import Entry
from upriver_agent.handing_up.table import STATEMENTS

ROOM = 1 << 20


@pytest.fixture
def connection():
    made = sqlite3.connect(":memory:", isolation_level=None)
    for statement in STATEMENTS:
        made.execute(statement)
    return made


def ids(connection):
    return [(entry.id, entry.forgotten) for entry in spool.waiting(connection, 100, ROOM)]


def test_a_lesson_waits_once_and_goes_when_it_is_safe_above(connection):
    assert spool.put(connection, [Entry("a", b"1"), Entry("b", b"2"), Entry("a", b"1")], ROOM) == ["a", "b", "a"]
    found = spool.waiting(connection, 100, ROOM)
    assert [(entry.id, entry.body) for entry in found] == [("a", b"1"), ("b", b"2")]
    spool.settle(connection, found[:1], found[1:])
    assert ids(connection) == []
    assert spool.tally(connection) == {"bytes": 0, "taken": 2, "handed": 1, "refused": 1, "withdrawn": 0, "missed": 0}


def test_what_does_not_fit_is_not_kept_and_what_is_there_already_is(connection):
    room = 2 * spool.OVERHEAD + 20
    assert spool.put(connection, [Entry("a", b"1" * 10), Entry("b", b"2" * 11), Entry("c", b"")], room) == ["a"]
    assert spool.put(connection, [Entry("a", b"1" * 10), Entry("c", b"")], room) == ["a", "c"]


def test_a_lesson_that_was_never_tried_is_forgotten_without_a_word(connection):
    spool.put(connection, [Entry("a", b"1")], ROOM)
    spool.saw(connection, [7])
    spool.forget_own(connection, [(7, "a"), (8, "never put here")])
    assert ids(connection) == []
    assert spool.tally(connection)["bytes"] == 0


def test_those_above_are_told_of_a_lesson_that_they_may_have(connection):
    spool.put(connection, [Entry("a", b"1"), Entry("b", b"1")], ROOM)
    spool.saw(connection, [7, 8])
    sent = spool.trying(connection, spool.waiting(connection, 1, ROOM))
    spool.forget_own(connection, [(7, "a")])  # while it is on its way
    spool.settle(connection, sent, [])  # that it came says nothing of what was forgotten meanwhile
    assert ids(connection) == [("a", True), ("b", False)]
    sent = spool.trying(connection, spool.waiting(connection, 9, ROOM))
    spool.settle(connection, sent, [])
    spool.forget_own(connection, [(8, "b")])  # long after
    assert ids(connection) == [("b", True)]
    assert spool.put(connection, [Entry("b", b"1")], ROOM) == ["b"]  # a late copy does not bring it back
    assert ids(connection) == [("b", True)]


def test_a_lesson_that_was_forgotten_before_it_went_is_not_sent(connection):
    spool.put(connection, [Entry("a", b"1"), Entry("b", b"1")], ROOM)
    spool.saw(connection, [1, 2])
    found = spool.waiting(connection, 9, ROOM)
    spool.forget_own(connection, [(1, "a")])
    assert [entry.id for entry in spool.trying(connection, found)] == ["b"]


def test_news_from_below_that_a_lesson_is_forgotten_are_always_passed_on(connection):
    spool.put(connection, [Entry("a", b"1")], ROOM)
    assert spool.forget(connection, ["a", "by another way", "a"], ROOM) == ["a", "by another way", "a"]
    assert ids(connection) == [("a", True), ("by another way", True)]


def test_news_of_forgotten_lessons_take_no_more_room_than_there_is(connection, monkeypatch):
    spool.put(connection, [Entry("a", b"1" * 50)], ROOM)
    room = 2 * spool.OVERHEAD + 60
    assert spool.forget(connection, ["b", "c", "a", "b"], room) == ["b", "a", "b"]
    assert ids(connection) == [("b", True), ("a", True)]
    monkeypatch.setattr(spool, "MAX_FORGOTTEN", 3)
    spool.forget_own(connection, [(0, "d")])
    with pytest.raises(QueueFull, match="3 forgotten lessons wait to be told upwards"):
        spool.forget_own(connection, [(0, "e")])
    spool.saw(connection, [7])
    spool.forget_own(connection, [(7, "e")])  # one that is in the journal always
    assert len(ids(connection)) == 4


def test_where_nothing_was_ever_handed_up_ids_that_nobody_has_are_let_go_without_room(connection, monkeypatch):
    monkeypatch.setattr(spool, "MAX_FORGOTTEN", 1)
    spool.forget_own(connection, [(0, "a")])
    spool.forget_own(connection, [(0, "b")])
    assert ids(connection) == [("a", True)]


def test_one_call_has_as_much_as_fits_and_at_least_one(connection):
    spool.put(connection, [Entry(str(number), b"x" * 1000) for number in range(9)], ROOM)
    assert len(spool.waiting(connection, 100, 3 * (1000 + spool.OVERHEAD))) == 3
    assert len(spool.waiting(connection, 100, 10)) == 1
    assert len(spool.waiting(connection, 4, ROOM)) == 4
