"""What leaves the heads of regions when lessons are forgotten."""

import numpy as np

from tests.unit.control_plane.regional.two_regions import TOPS, VERSION, learnt, policy
from upriver.policies import PolicyDocument, read_policy
from upriver.scores import ScoreKind
from upriver_control.regional.model import Need, TrialState
from upriver_control.regional.planning import fitted
from upriver_control.regions.record import MUST_GO


def test_what_was_forgotten_leaves_the_head_and_without_another_the_region_goes_back(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    world.round()
    before = world.running["north"].head
    world.lessons["north"], world.forgotten["north"] = 199, 1
    (again,) = [one for one in world.round() if one.region == "north"]
    assert again.need is Need.NOTHING
    assert world.running["north"].head not in ("", before)
    world.lessons["north"], world.forgotten["north"] = 0, 200
    world.held["north"] = 5
    world.round()
    assert world.chooser.to_go(world.standings()) == []
    world.now += 2000.0
    world.round()
    (gone,) = [trial for standing, trial in world.chooser.to_go(world.standings()) if standing.region == "north"]
    assert read_policy(gone.base).head == ""
    world.chooser.taken_back(gone, ["rollouts/back"], world.now)
    assert world.chooser.to_go(world.standings()) == []  # it is on its way
    told = next(one for one in world.trials.all("m", "north") if one.id == gone.id)
    assert (told.state, told.why, told.rollouts) == (TrialState.WITHDRAWN, MUST_GO, ("rollouts/r", "rollouts/back"))
    world.running["north"] = read_policy(gone.base)
    world.lessons["north"], world.held["north"] = 100, 600
    assert world.round() != []  # what lessons there are are tried at once


def test_of_a_head_that_had_learnt_what_was_forgotten_nothing_is_kept_in_the_next_one(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.round()
    world.lessons["north"], world.forgotten["north"] = 150, 50
    (again,) = world.round()
    prior = world.books.prior(VERSION)
    assert world.books.heads[again.trial.head] == fitted(VERSION, prior, learnt("c", 150, 5), None, 1000).data
    assert again.delta_bytes == 0


def test_a_head_that_never_learnt_what_was_forgotten_stays(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.round()
    world.lessons["north"] = 250
    world.round()
    world.lessons["north"], world.forgotten["north"] = 200, 50
    for _ in range(2):
        assert world.round() == []
        assert world.chooser.to_go(world.standings()) == []
    (running,) = world.trials.all("m")
    assert (running.forgotten, running.state) == (50, TrialState.PASSED)


def test_a_head_that_was_tried_before_is_tried_again_where_another_one_must_go(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    (first,) = world.round()
    world.running["north"] = policy(head=first.trial.head, threshold=np.inf)  # somebody has it ask always
    world.lessons["north"] = 400
    (second,) = world.round()
    world.lessons["north"], world.forgotten["north"] = 200, 200
    world.agents_send()
    world.maker.fit(world.standings(), TOPS, world.now + 1.0)
    (again,) = world.trials.open()
    assert (again.id, again.need) == (first.id, Need.NOTHING)
    assert again.created > second.created
    assert world.chooser.to_go(world.standings()) == []


def test_where_the_successor_of_a_head_that_must_go_came_to_nothing_others_are_tried(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    world.round()
    world.lessons["north"], world.forgotten["north"], world.held["north"] = 199, 1, 5
    world.round()
    world.now += 2000.0
    world.round()
    (withdrawn, _) = world.trials.all("m")
    assert withdrawn.state is TrialState.WITHDRAWN  # in time too few questions were held out
    assert world.round() == []
    assert len(world.trials.all("m")) == 2
    world.lessons["north"], world.held["north"] = 400, 600
    (again,) = world.round()  # somebody may roll it out
    assert again.need is Need.NOTHING
    assert world.chooser.to_go(world.standings()) == []


def test_a_region_goes_back_from_a_head_that_must_go_where_no_other_one_can_be_tried(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    (one,) = world.round()
    bare = PolicyDocument(VERSION, ScoreKind.MAX_PROBABILITY, 0.9, head=one.trial.head)
    world.running["north"] = bare  # nobody has said what another head may lose
    world.forgotten["north"] = 1
    assert world.round() == []
    assert [trial.id for _, trial in world.chooser.to_go(world.standings())] == [one.id]
