"""When counts are looked at, and what becomes of what a look said."""

from contextlib import suppress

import numpy as np
import pytest

from tests.unit.control_plane.regional.two_regions import (
    MEANS,
    TOP,
    TOPS,
    VERSION,
    gone,
    killed,
    policy,
    unreachable,
)
from upriver.errors import Unreachable
from upriver.pool import Submission
from upriver.pool_sums import part_of
from upriver_control.regional.model import Scope, TrialState
from upriver_control.regions.record import MUST_GO


def test_a_head_that_breaks_the_promise_is_not_rolled_out(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    world.seen = {"north": "d", "south": "d"}  # taught what there is none of, and c is taken for it
    world.sees = {"north": "abc", "south": "abc"}
    before = MEANS["d"].copy()
    MEANS["d"][:] = MEANS["c"]
    try:
        assert world.round() == []
    finally:
        MEANS["d"][:] = before
    assert {one.state for one in world.trials.all("m")} == {TrialState.FAILED}


def test_no_look_is_taken_at_too_few_questions_and_no_attempt_spent(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.held = {"north": 20, "south": 0}
    assert world.round() == []
    assert {one.state for one in world.trials.all("m")} == {TrialState.OPEN}
    world.now += 2000.0
    assert world.round() == []
    assert {one.state for one in world.trials.all("m")} <= {TrialState.WITHDRAWN, TrialState.OPEN}
    assert world.trials.attempts("m", VERSION, "north") == 0


def test_no_look_is_taken_at_a_head_that_must_go_and_no_attempt_spent(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    world.agents_send()
    world.maker.fit(world.standings(), TOPS, 1.0)
    world.lessons, world.forgotten = {"north": 0, "south": 200}, {"north": 200, "south": 0}
    world.agents_send()  # with enough counts
    gone = [one for one in world.judge.look(world.standings(), 2.0) if one.why == MUST_GO]
    assert sorted((one.region, one.scope, one.state) for one in gone) == [
        ("north", Scope.GLOBAL, TrialState.WITHDRAWN),  # though no head of all is made of one region's lessons
        ("north", Scope.REGION, TrialState.WITHDRAWN),
        ("south", Scope.GLOBAL, TrialState.WITHDRAWN),
    ]
    assert world.trials.attempts("m", VERSION, "north") == 0


def test_what_was_held_against_another_policy_than_runs_now_is_withdrawn_and_tried_anew(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.maker.fit(world.standings(), TOPS, 1.0)
    world.agents_send()
    world.maker.fit(world.standings(), TOPS, 1.0)
    (first,) = world.trials.open()
    world.running["north"] = policy(epsilon=0.04)
    (ended,) = world.judge.look(world.standings(), 2.0)
    assert (ended.state, world.trials.attempts("m", VERSION, "north")) == (TrialState.WITHDRAWN, 0)
    world.maker.fit(world.standings(), TOPS, 3.0)
    (again,) = world.trials.open()
    assert (again.id, again.promise.epsilon) == (first.id, 0.04)
    world.agents_send()
    world.judge.look(world.standings(), 4.0)
    world.running["north"] = policy()
    world.chooser.settle(world.standings(), 5.0)
    (passed,) = world.trials.all("m")
    assert (passed.state, passed.made != "") == (TrialState.WITHDRAWN, True)
    assert world.chooser.pick(world.standings(), 5.0) == []


def test_lessons_that_grow_too_old_one_by_one_spend_no_look_and_withdraw_nothing(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.round()
    before = world.running["north"].head
    for lessons in (199, 198, 197):
        world.lessons["north"] = lessons
        assert world.round() == []
    assert world.trials.attempts("m", VERSION, "north") == 1
    assert [one.trial.head for one in world.trials.all("m")] == [before]


def test_a_look_that_was_broken_off_is_spent_and_the_next_one_is_stricter(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    save, world.trials.save = world.trials.save, killed
    with pytest.raises(KeyboardInterrupt):
        world.round()
    assert {one.state for one in world.trials.all("m")} == {TrialState.OPEN}
    world.trials.save = save
    (one,) = world.round()
    assert one.verdict is not None
    assert one.verdict.attempt == world.trials.attempts("m", VERSION, "north") == 2


def test_what_was_proven_is_published_later_where_it_can_t_be_now_and_not_looked_at_again(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    publish, world.books.publish = world.books.publish, unreachable
    for _ in range(3):
        with suppress(Unreachable):
            world.round()
    (still,) = world.trials.open()
    assert still.verdict is not None
    world.books.publish = publish
    (one,) = world.round()
    assert (one.verdict, one.proven) == (still.verdict, "")
    assert still.verdict.attempt == world.trials.attempts("m", VERSION, "north") == 1


def test_a_head_that_is_not_here_any_more_when_it_is_published_has_failed(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.books.publish = gone
    assert world.round() == []
    (one,) = world.trials.all("m")
    assert (one.state, one.why) == (TrialState.FAILED, "it could not be published: swept")


def test_counts_of_another_region_and_such_as_went_meanwhile_are_not_looked_at(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.held["north"] = 0
    world.round()
    (trial,) = world.trials.open()
    counts = np.zeros(trial.trial.counts)
    counts[0] = 10_000
    for at, (version, region) in enumerate(((VERSION, "elsewhere"), (TOP, "north"))):
        stray = part_of("m", version, region, counts, trial.id)
        world.pools.submit(Submission(f"s{at}", {f"s{at}": 1}, (stray,), "stray"), world.now)
    assert world.round() == []
    world.held["north"] = 600
    sums, world.pools.sums = world.pools.sums, lambda *_: []  # who counted has restarted since
    assert world.round() == []
    assert (len(world.trials.open()), world.trials.attempts("m", VERSION, "north")) == (1, 0)
    world.pools.sums = sums
    assert [one.region for one in world.round()] == ["north"]


def test_trials_of_what_does_not_run_any_more_end(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.held = {"north": 0, "south": 0}
    world.round()
    (ended,) = world.judge.look([], world.now)
    assert (ended.state, ended.why) == (TrialState.WITHDRAWN, "its version does not run there any more")
    assert world.trials.open() == []
