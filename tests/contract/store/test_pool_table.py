"""What agents pool, in SQLite and in a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from upriver.head_statistics import HeadStatistics, merged, nothing
from upriver.pool import PoolLimits, Standing, Submission
from upriver.pool_sums import PoolKey, part_of
from upriver_control.store.pools import PoolTable

VERSION, OTHER, TRIAL = (f"sha256:{digit * 64}" for digit in "abc")
LIMITS = PoolLimits(max_children=100, expiry_s=1000.0, patience_s=90.0)


@pytest.fixture
def table(database):
    return PoolTable(database, 0.0, LIMITS)


def learnt(seed: int, lessons: int = 6) -> HeadStatistics:
    chance = np.random.default_rng(seed)
    sums = nothing(3, ("a", "b"))
    for _ in range(lessons):
        sums.add(chance.normal(size=3), np.eye(2)[chance.integers(2)])
    return sums


def of(child: str, epoch: int, *parts, mark: str = "", **others: int):
    return Submission(child, {child: epoch, **others}, tuple(parts), mark or f"{child}{epoch}")


def statistics(table, region: str = "north") -> HeadStatistics:
    (part,) = [part for part in table.sums("m", VERSION) if part.key.region == region]
    assert isinstance(part.sums, HeadStatistics)
    return part.sums


def test_the_sum_over_children_is_what_one_place_would_have_that_had_seen_all(table):
    found = [learnt(seed) for seed in range(3)]
    for number, sums in enumerate(found):
        part = part_of("m", VERSION, "north", sums)
        assert table.submit(of(f"agent-{number}", 1, part), 1.0).standing is Standing.COUNTED
    table.submit(
        of("agent-9", 1, part_of("m", VERSION, "south", learnt(9)), part_of("m", OTHER, "north", learnt(8))), 1.0
    )
    table.submit(of("agent-8", 1, part_of("m", VERSION, "north", np.array([5.0, 2.0]), TRIAL)), 1.0)
    whole, total = merged(found), statistics(table)
    np.testing.assert_allclose(total.outer, whole.outer, atol=1e-9)
    np.testing.assert_allclose(total.toward, whole.toward, atol=1e-9)
    by_key = {(line.key.version_digest, line.key.region, line.key.trial): line for line in table.lines()}
    north = by_key[VERSION, "north", ""]
    assert (north.agents, north.amount, north.key) == (3, 18.0, PoolKey("m", VERSION, "north", "", 3))
    assert by_key[VERSION, "north", TRIAL].amount == 5.0
    ((counts,),) = [[part.sums for part in table.sums("m", VERSION, TRIAL)]]
    np.testing.assert_array_equal(counts, [5.0, 2.0])


def test_what_an_agent_has_forgotten_is_gone_with_its_next_submission(table):
    before, after = learnt(1, 8), learnt(1, 7)
    table.submit(of("a", 1, part_of("m", VERSION, "north", before)), 1.0)
    table.submit(of("b", 1, part_of("m", VERSION, "north", learnt(2))), 1.0)
    table.submit(of("a", 2, part_of("m", VERSION, "north", after)), 2.0)
    assert table.submit(of("a", 1, part_of("m", VERSION, "north", before)), 3.0).standing is Standing.STALE
    np.testing.assert_allclose(statistics(table).outer, merged([after, learnt(2)]).outer, atol=1e-9)


def test_an_agent_that_moved_counts_once_and_a_restarted_control_plane_knows_it(database, table):
    moved, others = learnt(1), learnt(2)
    table.submit(of("p", 1, part_of("m", VERSION, "north", merged([moved, others])), x=5), 1.0)
    assert table.submit(of("q", 1, part_of("m", VERSION, "north", moved), x=6), 1.0).standing is Standing.STAGED
    again = PoolTable(database, 2.0, LIMITS)
    assert again.unchanged("p", 1, 2.0).drop == {"x": 6}
    assert again.submit(of("p", 2, part_of("m", VERSION, "north", others)), 2.0).standing is Standing.COUNTED
    assert table.roster() == again.roster() == {"p": 2, "q": 1, "x": 6}
    np.testing.assert_allclose(statistics(table).outer, merged([others, moved]).outer, atol=1e-9)


def test_who_makes_way_for_another_that_only_says_that_it_stands_is_written_too(database, table):
    both, one = (part_of("m", VERSION, "north", learnt(seed, lessons)) for seed, lessons in ((1, 30), (2, 20)))
    table.submit(of("A", 1, both, x=1, y=1), 1.0)
    assert table.submit(of("B", 1, one, x=2), 1.0).standing is Standing.STAGED
    assert table.submit(of("A", 2, both, x=1, y=1), 2.0).drop == {"x": 2}  # and is heard of no more
    standings = [table.unchanged("B", 1, float(now)).standing for now in range(30, 130, 30)]
    assert standings[-1] is Standing.COUNTED
    assert table.roster() == PoolTable(database, 0.0, LIMITS).roster() == {"B": 1, "x": 2}
    assert [(line.agents, line.amount) for line in table.lines()] == [(1, 20.0)]


def test_nobody_is_taken_for_silent_because_the_control_plane_was(database, table):
    table.submit(of("p", 1, x=5), 1.0)
    again = PoolTable(database, 500.0, LIMITS)
    assert again.submit(of("q", 1, x=6), 501.0).standing is Standing.STAGED
    again.expire(600.0)
    assert again.roster() == {"q": 1, "x": 6}


def test_children_that_are_silent_for_long_go_with_their_sums(table):
    table.submit(of("a", 1, part_of("m", VERSION, "north", learnt(1))), 1.0)
    table.submit(of("b", 1, part_of("m", VERSION, "north", learnt(2))), 1.0)
    for now in range(50, 1100, 50):
        table.unchanged("b", 1, float(now))
    table.expire(1100.0)
    assert table.roster() == {"b": 1}
    np.testing.assert_allclose(statistics(table).outer, learnt(2).outer, atol=1e-9)
    table.expire(9000.0)
    assert list(table.lines()) == []


def test_a_repeated_word_that_nothing_has_changed_is_not_written_each_time(table):
    table.submit(of("a", 1), 1.0)
    revision = table.revision()
    for now in range(2, 20):
        assert table.unchanged("a", 1, float(now)).standing is Standing.COUNTED
    assert table.revision() == revision
    table.unchanged("a", 1, 40.0)
    assert table.revision() == revision + 1


def test_processes_that_take_in_at_the_same_time_agree(database):
    tables = [PoolTable(database, 0.0, LIMITS) for _ in range(3)]
    order = [(child, epoch) for child in range(6) for epoch in range(1, 6)] * 2
    np.random.default_rng(4).shuffle(order)

    def send(number: int) -> None:
        child, epoch = order[number]
        part = part_of("m", VERSION, "north", learnt(10 * child + epoch))
        tables[number % 3].submit(of(f"agent-{child}", epoch, part), 1.0)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(send, range(len(order))))
    whole = merged([learnt(10 * child + 5) for child in range(6)])
    for table in tables:
        assert table.roster() == {f"agent-{child}": 5 for child in range(6)}
        np.testing.assert_allclose(statistics(table).outer, whole.outer, atol=1e-9)
