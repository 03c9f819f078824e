"""Trials of heads, in SQLite and in a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from upriver.promises import Promise
from upriver.trials import Trial
from upriver_control.regional.model import Need, RegionTrial, Scope, TrialState, Verdict
from upriver_control.store.trials import MAX_KEPT, TrialTable

VERSION, HEAD, TOP = (f"sha256:{digit * 64}" for digit in "abc")


@pytest.fixture
def table(database):
    return TrialTable(database)


def trial(number: int = 0, region: str = "north", created: float = 1.0) -> RegionTrial:
    head = f"sha256:{number:064d}"
    return RegionTrial(
        Trial("m", VERSION, region, head, TOP), "models/m/versions/1", Scope.GLOBAL, ("device", "edge"), "{}", "",
        Promise(0.01, 0.05), 12.5, 3, 1, created, Need.AS_FEW, 1000, 400,
    )  # fmt: skip


def test_a_trial_comes_back_as_it_was_kept(table):
    kept = replace(
        trial(), state=TrialState.PASSED, verdict=Verdict(2, 0.003, 700, 1.6, 0.9, 3, 0.5, 1e-5, 40, 2, 1e-9),
        rollouts=("rollouts/a",), made="models/m/policies/x",
    )  # fmt: skip
    assert table.add(trial())
    before = table.revision()
    table.save(kept)
    assert table.all() == [kept]
    assert table.revision() != before


def test_the_same_head_is_tried_in_a_region_once(table):
    assert table.add(trial())
    assert not table.add(replace(trial(), created=9.0))
    assert table.add(trial(region="south"))


def test_a_head_that_was_withdrawn_may_be_tried_again(table):
    table.add(trial())
    table.save(replace(trial(), state=TrialState.WITHDRAWN))
    assert table.add(replace(trial(), created=9.0))
    assert table.open() == table.all() == [replace(trial(), created=9.0)]
    table.save(replace(trial(), state=TrialState.FAILED))
    assert not table.add(replace(trial(), created=10.0))
    must = replace(trial(), need=Need.NOTHING)
    assert not table.add(replace(must, scope=Scope.REGION, created=10.0))
    assert table.add(replace(must, created=10.0))
    assert not table.add(replace(must, created=11.0))


def test_open_trials_and_those_of_a_region_are_found(table):
    trials = [trial(number, region, float(number)) for number, region in enumerate(("north", "south", "north"))]
    for one in trials:
        table.add(one)
    table.save(replace(trials[0], state=TrialState.FAILED))
    assert table.open() == trials[1:]
    assert [one.created for one in table.all("m", "north")] == [2.0, 0.0]
    assert table.all("other") == []


def test_looks_are_counted_once_each_whoever_takes_them(table):
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: table.attempt("m", VERSION, "north"), range(12)))
    assert sorted(found) == list(range(1, 13))
    assert table.attempts("m", VERSION, "north") == 12
    assert table.attempts("m", VERSION, "south") == 0


def test_only_the_newest_trials_are_kept_and_the_count_of_looks_with_them(table):
    for number in range(MAX_KEPT + 3):
        table.add(trial(number, created=float(number)))
    kept = table.all("m")
    assert len(kept) == MAX_KEPT
    assert min(one.created for one in kept) == 3.0


def test_a_change_is_seen_also_where_an_old_trial_went_with_it(table):
    for number in range(MAX_KEPT):
        table.add(trial(number, created=float(number)))
        table.save(replace(trial(number, created=float(number)), state=TrialState.FAILED))
    before = table.revision()
    table.add(trial(MAX_KEPT, created=1000.0))  # the first one makes room for it
    table.save(replace(trial(1, created=1.0), state=TrialState.WITHDRAWN))
    assert table.revision() > before
