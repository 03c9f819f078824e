"""What audits keep: within bounds, dropped without regard to time or content, ended once."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.auditing import store
from upriver_agent.auditing.store import Kept, Told, Waiting


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statements in store.SCHEMA:
        for statement in statements:
            connection.execute(statement)
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = opened()
    yield made
    made.close()


def waiting(
    question: str,
    row: int = 0,
    *,
    model: str = "digits",
    draw: float = 0.5,
    asked: float = 0.0,
    size: int = 100,
    region_only: bool = False,
) -> Waiting:
    return Waiting(question, row, model, region_only, draw, asked, "", b"q" * size, b"")


def kept(connection: sqlite3.Connection) -> set[str]:
    return {question for (question,) in connection.execute("SELECT question FROM cases")}


@given(
    st.lists(st.tuples(st.floats(0, 0.99), st.integers(1, 400)), min_size=1, max_size=40, unique_by=lambda one: one[0])
)
def test_a_full_journal_keeps_what_a_lower_rate_would_have_had_audited(cases: list[tuple[float, int]]) -> None:
    connection = opened()
    bound, dropped = 2_000, 0
    for number, (draw, size) in enumerate(cases):
        # Time and size are told, and must not matter for who goes.
        case = waiting(f"q-{number}", draw=draw, asked=float(number), size=size)
        dropped += store.add(connection, [case], bound)
    left = kept(connection)
    assert len(left) + dropped == len(cases)
    total = sum(size for number, (_, size) in enumerate(cases) if f"q-{number}" in left)
    assert total <= bound
    ceiling = store.ceiling(connection)
    assert left == {f"q-{number}" for number, (draw, _) in enumerate(cases) if draw < ceiling}
    connection.close()


def test_a_small_case_does_not_slip_in_where_a_large_one_was_dropped(connection: sqlite3.Connection) -> None:
    store.add(connection, [waiting("q-1", draw=0.1, size=1600), waiting("q-2", draw=0.5, size=500)], 2_000)
    assert store.add(connection, [waiting("q-3", draw=0.6, size=10)], 2_000) == 1
    assert kept(connection) == {"q-1"}
    store.settle(connection, [("q-1", 0)], (), None, now=1.0)
    assert store.add(connection, [waiting("q-4", draw=0.6, size=10)], 2_000) == 0, "an empty journal begins anew"
    assert store.ceiling(connection) == 1.0


def test_a_case_is_kept_once(connection: sqlite3.Connection) -> None:
    for _ in range(2):
        store.add(connection, [waiting("q-1"), waiting("q-1", 1), waiting("q-2")], 10_000)
    assert store.waiting(connection) == {"digits": 3}


def test_one_call_asks_for_what_has_waited_longest_of_one_model(connection: sqlite3.Connection) -> None:
    rows = [waiting("q-old", row, asked=1.0) for row in (3, 1, 2)]
    store.add(connection, [waiting("q-new", asked=2.0), *rows, waiting("q-other", model="faces", asked=0.5)], 10_000)
    assert [(one.question, one.row) for one in store.next_call(connection, [("faces", False)])] == [
        ("q-old", 1),
        ("q-old", 2),
        ("q-old", 3),
        ("q-new", 0),
    ]
    assert store.next_call(connection, [])[0].model == "faces"
    assert store.next_call(connection, [("faces", False), ("digits", False)]) == []


def test_one_call_has_a_bounded_number_of_rows_and_bytes_and_at_least_one(connection: sqlite3.Connection) -> None:
    store.add(connection, [waiting("q", row) for row in range(store.MOST_ROWS + 10)], 10**9)
    assert len(store.next_call(connection, [])) == store.MOST_ROWS
    store.add(connection, [waiting("big", row, asked=-1.0, size=store.MOST_BYTES + 1) for row in range(2)], 10**9)
    assert [(one.question, one.row) for one in store.next_call(connection, [])] == [("big", 0)]


def test_what_waits_too_long_is_given_up_whatever_it_is(connection: sqlite3.Connection) -> None:
    store.add(connection, [waiting(f"q-{number}", asked=float(number)) for number in range(10)], 10_000)
    assert store.expire(connection, 4.0) == 4
    assert kept(connection) == {f"q-{number}" for number in range(4, 10)}


def test_cases_end_with_their_verdicts_and_the_monitor(connection: sqlite3.Connection) -> None:
    store.add(connection, [waiting("q-1"), waiting("q-2")], 10_000)
    store.settle(connection, [("q-1", 0)], [Told(0.1, b"one")], Kept("digits", "policy", "state"), now=1.0)
    assert kept(connection) == {"q-2"}
    assert store.to_deliver(connection, 10) == [(1, b"one")]
    assert store.load(connection, "digits", "policy") == Kept("digits", "policy", "state")
    assert store.load(connection, "digits", "other") is None
    store.delivered(connection, [1])
    assert store.to_deliver(connection, 10) == []


def test_of_too_many_verdicts_those_with_the_highest_draws_go(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_VERDICTS", 3)
    told = [Told(draw, str(draw).encode()) for draw in (0.3, 0.9, 0.1, 0.5, 0.2)]
    assert store.settle(connection, [], told, None, now=1.0) == 2
    assert {body for _, body in store.to_deliver(connection, 10)} == {b"0.3", b"0.1", b"0.2"}


def test_monitors_are_kept_of_the_pairs_that_changed_last(connection: sqlite3.Connection) -> None:
    for number in range(store.MOST_MONITORS + 3):
        store.save(connection, Kept("digits", str(number), "state"), now=float(number))
    assert store.load(connection, "digits", "2") is None
    assert store.load(connection, "digits", "3") == Kept("digits", "3", "state")
    store.save(connection, Kept("digits", "3", "later", "drift"), now=1e3)
    store.save(connection, Kept("digits", "3", "last"), now=1e3)
    assert store.load(connection, "digits", "3") == Kept("digits", "3", "last", "drift")
