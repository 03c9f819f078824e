"""Tickets in the journal: bounded, the least valuable put out first, and selected as the rules say."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver_agent.telemetry import NOWHERE, Origin
from upriver_agent.tickets import store
from upriver_agent.tickets.rules import LONGEST_MODEL_S, Course, State, Waiting, Worth, is_due
from upriver_agent.tickets.store import OVERHEAD
from upriver_agent.tickets.table import SCHEMA, NewTicket, Ticket

SEEN = Origin("ab" * 16, "cd" * 8)


def opened():
    return opened_as(SCHEMA)


def opened_as(schema):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statements in schema:
        for statement in statements:
            connection.execute(statement)
    return connection


def new(id_="a", model="m", confidence=0.5, waiting=Waiting.UPSTREAM, size=100):
    return NewTicket(id_, model, confidence, waiting, b"r" * size, b"g" * 10, SEEN)


def add(connection, *tickets, now=1000.0, max_bytes=1 << 30, epoch=0):
    return store.add(connection, tickets, epoch, now, max_bytes)


def ids(connection):
    return {ticket.id for ticket in store.listing(connection, 0, "", 0, 10_000)}


def test_tickets_of_before_spans_were_kept_are_tickets_of_no_span():
    connection = opened_as(SCHEMA[:1])
    connection.execute(
        "INSERT INTO ticket VALUES (NULL, 'a', 'm', 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, '', x'00', x'00', x'')"
    )
    for statement in SCHEMA[1]:
        connection.execute(statement)
    found = store.find(connection, "a", with_input=True)
    assert isinstance(found, Ticket)
    assert found.origin == NOWHERE


def test_a_ticket_comes_back_as_it_was_kept():
    connection = opened()
    assert add(connection, new()) == {"a"}
    found = store.find(connection, "a", with_input=True)
    assert isinstance(found, Ticket)
    assert (found.request, found.guess, found.answer) == (b"r" * 100, b"g" * 10, b"")
    assert (found.state, found.created_at, found.course) == (State.OPEN, 1000.0, Course(Waiting.UPSTREAM, 0))
    assert found.origin == SEEN
    assert store.find(connection, "a", with_input=False).request == b""
    assert store.find(connection, "b", with_input=True) is None


def test_the_least_valuable_are_put_out_first():
    connection = opened()
    room = 4 * (110 + OVERHEAD)
    add(connection, new("old", confidence=0.9, waiting=Waiting.MODEL), now=0.0, max_bytes=room)
    add(connection, new("sure", confidence=0.9, waiting=Waiting.MODEL), now=10_000.0, max_bytes=room)
    add(connection, new("unsure", confidence=0.1, waiting=Waiting.MODEL), now=10_000.0, max_bytes=room)
    add(connection, new("wanted", confidence=1.0, waiting=Waiting.MODEL), now=0.0, max_bytes=room)
    store.want(connection, "wanted")
    gone = []
    for number in range(5):
        kept = add(connection, new(f"cut-{number}"), now=20_000.0 + number, max_bytes=room)
        assert kept == {f"cut-{number}"}
        gone += sorted({"old", "sure", "unsure", "cut-0", "cut-1", "wanted"} - ids(connection) - set(gone))
    assert [id_ for id_ in gone if not id_.startswith("cut")] == ["old", "sure", "unsure"]
    assert "wanted" in ids(connection)
    assert store.find(connection, "old", with_input=False) is State.DROPPED
    assert store.tally(connection)["dropped"] == 5


def test_a_ticket_that_is_worth_less_than_all_others_is_not_kept():
    connection = opened()
    room = 2 * (110 + OVERHEAD)
    add(connection, new("a"), new("b"), max_bytes=room)
    assert add(connection, new("c", waiting=Waiting.MODEL), max_bytes=room) == frozenset()
    assert ids(connection) == {"a", "b"}


def test_what_was_delivered_goes_first_and_is_no_loss():
    connection = opened()
    room = 2 * (110 + OVERHEAD)
    add(connection, new("a"), new("b"), max_bytes=room)
    store.want(connection, "a")
    assert store.answer(connection, "a", b"x" * 10, "cloud", 1001.0) > 0
    store.deliver(connection, ["a", "b"])
    add(connection, new("c"), max_bytes=room)
    assert ids(connection) == {"b", "c"}
    assert store.tally(connection)["dropped"] == 0


def test_an_answer_closes_a_ticket_once_and_lets_its_input_go():
    connection = opened()
    add(connection, new("a"), new("b"))
    first = store.answer(connection, "a", b"yes", "cloud", 1001.0)
    assert store.answer(connection, "a", b"no", "person", 1002.0) == 0
    assert store.answer(connection, "nobody's", b"no", "person", 1002.0) == 0
    assert store.answer(connection, "b", b"too", "cloud", 1003.0) == first + 1
    found = store.find(connection, "a", with_input=True)
    assert (found.state, found.answer, found.answered_by, found.request) == (State.ANSWERED, b"yes", "cloud", b"")
    assert [ticket.id for ticket in store.answered_since(connection, first - 1, 10)] == ["a", "b"]
    assert [ticket.id for ticket in store.answered_since(connection, first, 10)] == ["b"]
    told = store.tally(connection)
    assert (told["open"], told["issued"], told["answered"]) == (0, 2, 2)


def test_what_is_too_old_expires_open_or_not():
    connection = opened()
    add(connection, new("open"), new("answered"), now=0.0)
    add(connection, new("young"), now=100.0)
    store.answer(connection, "answered", b"x", "cloud", 1.0)
    assert store.expire(connection, 50.0) == ["open"]
    assert ids(connection) == {"young"}
    assert store.find(connection, "open", with_input=False) is State.EXPIRED
    assert (store.tally(connection)["expired"], store.tally(connection)["open"]) == (1, 1)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "answer", "want", "deliver", "delete", "again", "expire"]),
            st.integers(0, 8),
            st.integers(0, 3000),
        ),
        max_size=40,
    )
)
def test_the_bound_holds_and_the_counters_are_true_whatever_happens(steps):
    connection, most, issued = opened(), 12_000, 0
    for number, (step, which, size) in enumerate(steps):
        id_, now = f"t{which}", float(number)
        if step == "add":
            id_ = f"t{issued}"
            add(connection, new(id_, size=size), now=now, max_bytes=most)
            issued += 1
        elif step == "answer":
            store.answer(connection, id_, b"x" * (size // 10), "cloud", now)
        elif step == "want":
            store.want(connection, id_)
        elif step == "deliver":
            store.deliver(connection, [id_])
        elif step == "delete":
            store.delete(connection, id_)
        elif step == "again":
            store.note_asked(connection, id_, Course(Waiting.MODEL, 1, 1, now), b"g" * (size // 10), 0.5)
        else:
            store.expire(connection, now - 20)
        store.make_room(connection, most)
        rows = connection.execute("SELECT length(request) + length(guess) + length(answer) FROM ticket").fetchall()
        told = store.tally(connection)
        assert told["bytes"] == sum(size for (size,) in rows) + OVERHEAD * len(rows) <= most
        assert told["open"] == connection.execute("SELECT count(*) FROM ticket WHERE state = 1").fetchone()[0]
        assert told["issued"] == issued
        assert told["open"] + told["answered"] + told["expired"] <= issued


@settings(max_examples=60, deadline=None)
@given(
    tickets=st.lists(
        st.tuples(st.sampled_from(Waiting), st.integers(0, 3), st.floats(0, 10_000), st.booleans(), st.booleans()),
        max_size=12,
    ),
    epoch=st.integers(0, 3),
    way_up=st.booleans(),
    now=st.floats(0, 10_000),
)
def test_what_is_selected_is_what_the_rules_call_due(tickets, epoch, way_up, now):
    connection, expected = opened(), []
    for number, (waiting, seen, next_at, wanted, answered) in enumerate(tickets):
        id_, course = f"t{number}", Course(waiting, seen, 1, next_at)
        add(connection, new(id_))
        store.note_asked(connection, id_, course, b"", 0.0)
        if wanted:
            store.want(connection, id_)
        if answered:
            store.answer(connection, id_, b"x", "cloud", now)
        elif is_due(course, epoch, way_up, now):
            expected.append(id_)
    add(connection, new("other", model="other"))
    found = store.due(connection, "m", epoch, way_up, now, 100)
    assert sorted(found) == sorted(expected)
    first = store.due(connection, "m", 99, False, now, 1)
    wanted_ones = [f"t{n}" for n, (w, s, at, wanted, answered) in enumerate(tickets) if wanted and not answered
                   and not now < at <= now + LONGEST_MODEL_S]  # fmt: skip
    if wanted_ones:
        assert first == wanted_ones[:1]


def test_an_upstream_that_returns_forgives_all_but_those_that_failed_too_often():
    connection = opened()
    add(connection, new("a"), new("b"), new("c", model="other"))
    for id_, attempts in (("a", 2), ("b", 10), ("c", 2)):
        store.note_asked(connection, id_, Course(Waiting.UPSTREAM, 0, attempts, 5000.0), b"", 0.0)
    store.forgive(connection, "m")
    assert store.due(connection, "m", 0, True, 4000.0, 10) == ["a"]
    assert store.due(connection, "other", 0, True, 4000.0, 10) == []


def test_a_clock_that_is_set_takes_the_tickets_of_this_run_with_it():
    connection = opened()
    add(connection, new("earlier"), now=5e8)
    add(connection, new("now"), now=100.0)
    store.shift(connection, 50.0, 150.0, 1e9)
    assert {ticket.id: ticket.created_at for ticket in store.listing(connection, 0, "", 0, 9)} == {
        "earlier": 5e8,
        "now": 1e9 + 100.0,
    }


def test_a_worse_guess_does_not_take_the_place_of_a_better_one_unless_told():
    connection = opened()
    add(connection, new("a"))
    store.note_asked(connection, "a", Course(Waiting.MODEL, 1, 1, 0.0), b"", 0.0)
    assert store.find(connection, "a", with_input=False).guess == b"g" * 10
    store.note_asked(connection, "a", Course(Waiting.MODEL, 2, 2, 0.0), b"new", 0.3)
    found = store.find(connection, "a", with_input=False)
    assert (found.guess, found.course.epoch, found.worth) == (b"new", 2, Worth.GUESS)


def test_of_seen_pairs_the_newest_and_the_own_are_remembered():
    connection = opened()
    store.note_pairs(connection, "m", {f"d{number}": number for number in range(store.MAX_PAIRS + 9)}, "d0")
    rows = store.pairs(connection)
    assert len(rows) == store.MAX_PAIRS + 1
    assert ("m", "d0", 0, True) in rows
    assert all(not own for _, digest, _, own in rows if digest != "d0")


def test_notes_of_what_is_gone_are_bounded(monkeypatch):
    monkeypatch.setattr(store, "MAX_GONE", 3)
    connection = opened()
    for number in range(5):
        add(connection, new(str(number)))
        store.delete(connection, str(number))
    found = [store.find(connection, str(number), with_input=False) for number in range(5)]
    assert found == [None, None, State.DROPPED, State.DROPPED, State.DROPPED]


@pytest.mark.parametrize("model", ["", "m"])
def test_a_listing_goes_on_behind_where_it_ended(model):
    connection = opened()
    add(connection, *(new(str(number)) for number in range(5)))
    first = store.listing(connection, State.OPEN, model, 0, 3)
    second = store.listing(connection, State.OPEN, model, first[-1].seq, 3)
    assert [ticket.id for ticket in (*first, *second)] == ["0", "1", "2", "3", "4"]
    assert store.listing(connection, State.ANSWERED, model, 0, 3) == []
    assert store.listing(connection, 0, "other", 0, 3) == []
