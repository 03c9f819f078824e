"""What waits on the disk: bounded in bytes, and the ordinary goes first."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.spooling import table
from upriver_agent.spooling.encoding import Batch
from upriver_agent.spooling.lanes import Worth

ORDINARY, IMPORTANT = Worth.ORDINARY, Worth.IMPORTANT


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statements in table.SCHEMA:
        for statement in statements:
            connection.execute(statement)
    return connection


def kept(connection: sqlite3.Connection) -> list[Batch]:
    found = []
    while (one := table.oldest(connection)) is not None:
        found.append(one.batch)
        table.drop(connection, one.number)
    return found


def test_batches_come_out_in_the_order_in_which_they_went_in_whatever_their_worth() -> None:
    connection = opened()
    batches = [Batch(ORDINARY, 1, b"a"), Batch(IMPORTANT, 2, b"b"), Batch(ORDINARY, 3, b"c")]
    for batch in batches:
        assert not any(table.put(connection, batch, 1_000).values())
    assert table.tally(connection) == {"bytes": 3 * (1 + table.OVERHEAD), "spans": 6}
    newest = table.newest(connection)
    assert newest is not None
    assert newest.batch == batches[-1]
    assert kept(connection) == batches
    assert table.newest(connection) is None
    assert table.tally(connection) == {"bytes": 0, "spans": 0}


def test_ordinary_batches_make_room_for_important_ones_and_never_the_other_way() -> None:
    connection, size = opened(), 10 + table.OVERHEAD
    old, new = Batch(ORDINARY, 5, b"o" * 10), Batch(IMPORTANT, 7, b"i" * 10)
    for batch in (old, new, old):
        table.put(connection, batch, 3 * size)
    assert table.put(connection, new, 3 * size) == {ORDINARY: 5, IMPORTANT: 0}
    assert table.put(connection, new, 3 * size) == {ORDINARY: 5, IMPORTANT: 0}
    assert table.put(connection, old, 3 * size) == {ORDINARY: 5, IMPORTANT: 0}, "it is not let in"
    assert table.put(connection, new, 3 * size) == {ORDINARY: 0, IMPORTANT: 7}, "the oldest of its like"
    assert kept(connection) == [new, new, new]


@given(st.lists(st.tuples(st.sampled_from(Worth), st.integers(0, 300)), max_size=40), st.integers(0, 1_500))
def test_what_is_kept_never_takes_more_than_it_may_and_every_span_is_counted(
    batches: list[tuple[Worth, int]], most: int
) -> None:
    connection, lost = opened(), 0
    for worth, size in batches:
        lost += sum(table.put(connection, Batch(worth, 1, b"x" * size), most).values())
        assert table.tally(connection)["bytes"] <= most
    assert table.tally(connection)["spans"] + lost == len(batches)
    assert len(kept(connection)) + lost == len(batches)
