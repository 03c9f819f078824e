"""Lessons in the journal: bounded in bytes, the rare and the hard kept, nothing half taken."""

import sqlite3
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.lessons.making import DIGEST, OTHER, lesson
from upriver_agent.lessons import looking, store
from upriver_agent.lessons.lesson import Choice, State
from upriver_agent.lessons.outcome import Bounds, Outcome
from upriver_agent.lessons.rules import MAX_CLASSES
from upriver_agent.lessons.table import STATEMENTS
from upriver_agent.telemetry import Origin

LIVE = frozenset({("digits", DIGEST)})


def opened():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in STATEMENTS:
        connection.execute(statement)
    return connection


def take(connection, *lessons, max_bytes=1 << 30, live=LIVE):
    bounds = Bounds(max_bytes, 2, live)
    return [store.take(connection, one, bounds)[0] for one in lessons]


def kept(connection):
    return looking.listing(connection, Choice(), 0, 10_000)


def size_of(connection):
    return looking.tally(connection)["bytes"] / max(1, len(kept(connection)))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 99)), min_size=1, max_size=60),
    st.integers(2, 30),
)
def test_what_is_rare_and_what_is_hard_is_kept(told, room):
    connection = opened()
    lessons = [lesson(number, label, known=known / 100) for number, (label, known) in enumerate(told)]
    take(connection, lessons[0])
    most = int(room * size_of(connection)) + 8
    take(connection, *lessons[1:], max_bytes=most)
    assert looking.tally(connection)["bytes"] <= most
    found = kept(connection)
    here = Counter(one.label for one in found)
    came = Counter(one.label for one in lessons)
    for label in came:
        left = [one for one in lessons if one.label == label]
        there = [one for one in found if one.label == label]
        # A class gives something up only while it takes at least as much as any other.
        if len(there) < len(left):
            assert here[label] >= max(here.values()) - 1
        # And then the easiest that was there.
        if there and len(there) < len(left):
            ids = {one.id for one in there}
            newest = lessons[-1].id
            gone = [one.known for one in left if one.id not in ids and one.id != newest]
            assert not gone or min(one.known for one in there) <= max(gone)


def test_of_two_classes_the_larger_one_gives_up_its_easiest():
    connection = opened()
    take(connection, lesson(0, "a", known=0.9))
    most = int(4 * size_of(connection)) + 8
    rare = [lesson(1, "b", known=0.99)]
    many = [lesson(2 + number, "a", known=0.1 * number) for number in range(5)]
    take(connection, *rare, *many, max_bytes=most)
    assert [one.label for one in kept(connection)].count("b") == 1
    assert sorted(one.known for one in kept(connection) if one.label == "a") == [0.0, 0.1, 0.2]
    assert take(connection, lesson(50, "a", known=0.95), max_bytes=most) == [Outcome.NO_ROOM]
    assert looking.tally(connection)["put_out"] == 4


def test_a_large_input_puts_out_no_lesson_and_is_not_kept_itself():
    connection = opened()
    most = 1 << 20
    take(connection, *(lesson(number, known=0.5) for number in range(900)), max_bytes=most)
    large = lesson(1000, known=0.0, input=b"x" * most, sealed="a key", consent=True)
    assert take(connection, large, max_bytes=most) == [Outcome.TAKEN]
    assert len(kept(connection)) == 901
    assert (kept(connection)[-1].has_input, kept(connection)[-1].sealed) == (False, "")
    assert looking.tally(connection)["without_input"] == 1
    take(connection, lesson(1001, input=b"x" * (most // 64)), max_bytes=most)
    assert kept(connection)[-1].has_input


def test_what_does_not_count_goes_first_then_what_is_of_a_version_that_is_gone():
    connection = opened()
    take(connection, lesson(1, version=OTHER, known=0.0), lesson(2, "7", known=0.9, embedding=(5, 5, 5)))
    take(connection, lesson(3, "5", teacher="b", embedding=(6, 6, 6)), lesson(4, "7", teacher="a", embedding=(6, 6, 6)))
    assert [one.state for one in kept(connection)] == [State.TAKEN, State.TAKEN, State.HELD, State.HELD]
    most = looking.tally(connection)["bytes"]
    take(connection, lesson(5), max_bytes=most)
    assert {one.id for one in kept(connection)} == {lesson(number).id for number in (1, 2, 5)}
    most = looking.tally(connection)["bytes"]
    take(connection, lesson(6), max_bytes=most)
    assert {one.id for one in kept(connection)} == {lesson(number).id for number in (2, 5, 6)}


def test_nothing_comes_to_count_because_what_it_was_outvoted_by_has_grown_old():
    connection = opened()
    same = {"embedding": (1, 2, 3)}
    take(connection, lesson(1, "7", "a", at=100.0, **same), lesson(2, "5", "liar", at=900.0, **same))
    take(connection, lesson(3, "7", "b", at=900.0, **same))
    assert [(one.label, one.state) for one in kept(connection)] == [("7", State.TAKEN), ("5", State.HELD)]
    gone, change = store.expire(connection, 500.0)
    assert gone == 1
    assert [one.label for one in change.removed] == ["7"]
    assert (change.added, kept(connection)) == ([], [])


def test_so_many_classes_and_no_more():
    connection = opened()
    for number in range(MAX_CLASSES):
        connection.execute("INSERT INTO class VALUES (1, ?, 1, 1)", (f"made-up-{number}",))
    take(connection, lesson(0, "made-up-1"))
    assert take(connection, lesson(1, "one-more"), lesson(2, "made-up-3")) == [
        Outcome.TOO_MANY_CLASSES,
        Outcome.TAKEN,
    ]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=6))
def test_the_order_in_which_answers_come_and_come_again_changes_nothing(order, again):
    """Of teachers that say one thing each: repeated and reordered, the same labels count in the end."""
    answers = [
        lesson(0, "7", "a", embedding=(1, 1, 1)),
        lesson(1, "7", "b", embedding=(1, 1, 1)),
        lesson(2, "5", "c", embedding=(1, 1, 1)),
        lesson(3, "5", "d", embedding=(2, 2, 2)),
        lesson(4, "4", "e", embedding=(3, 3, 3)),
        lesson(5, "3", "f", embedding=(3, 3, 3)),
    ]
    connection = opened()
    take(connection, *(answers[number] for number in (*order, *again)))
    counting = {(one.content, one.label) for one in kept(connection) if one.state is State.TAKEN}
    assert counting == {(answers[0].content, "7"), (answers[3].content, "5")}


def test_embeddings_come_back_to_the_bit_whatever_they_are():
    connection = opened()
    values = np.array([0.0, -0.0, 6e-8, 65504.0, -1.5, 1 / 3], np.float16)
    take(connection, lesson(1, embedding=values))
    assert kept(connection)[0].embedding.tobytes() == values.tobytes()


@pytest.mark.parametrize("facts", ['{"trace":', "[]", "3", '{"span": "12"}', '{"trace": [1], "span": "12"}', b"\xff"])
def test_a_lesson_whose_facts_are_damaged_links_to_nothing_and_others_do(facts):
    connection = opened()
    take(connection, *(lesson(number, trace_id=f"{number:032x}") for number in range(1, 4)))
    connection.execute("UPDATE lesson SET facts = ? WHERE seq = 2", (facts,))
    found = looking.newest_origins(connection, "digits", DIGEST, 10)
    assert found == [Origin(f"{number:032x}", "cd" * 8) for number in (3, 1)]
