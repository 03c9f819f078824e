"""Which of the heads that passed a region gets."""

from tests.unit.control_plane.regional.two_regions import MEANS, TOPS
from upriver.policies import read_policy
from upriver_control.regional.model import Need, Scope, TrialState


def test_what_waits_for_an_operator_is_withdrawn_when_it_must_go_and_has_no_rival_that_answers_less(world) -> None:
    world.lessons = {"north": 200, "south": 200}
    for _ in range(2):
        world.agents_send()
        world.maker.fit(world.standings(), TOPS, 1.0)
    world.judge.look(world.standings(), 2.0)
    world.chooser.settle(world.standings(), 3.0)
    passed = {one.region: one for one in world.trials.all("m") if one.state is TrialState.PASSED}
    assert len([one for one in world.trials.all("m") if one.state is TrialState.PASSED]) == len(passed) == 2
    north = passed["north"]
    world.running["north"] = read_policy(world.books.policies[north.made])  # somebody rolls it out
    world.forgotten = {"north": 1, "south": 1}
    world.agents_send()
    world.chooser.settle(world.standings(), 4.0)
    states = {one.region: one.state for one in world.trials.all("m") if one.id in (north.id, passed["south"].id)}
    assert states == {"north": TrialState.PASSED, "south": TrialState.WITHDRAWN}


def test_a_head_that_passed_waits_for_its_rival_only_as_long_as_for_counts(world) -> None:
    world.lessons = {"north": 60, "south": 60}
    world.held = {"north": 100, "south": 0}  # enough for one look, and too few for the stricter one that follows
    assert world.round() == []
    north = {one.state: one for one in world.trials.all("m", "north")}
    assert set(north) == {TrialState.PASSED, TrialState.OPEN}
    world.now -= 60.0  # 40 s later
    assert world.round() == []
    (picked,) = world.round()
    assert picked.id == north[TrialState.PASSED].id


def test_a_region_gives_its_own_head_up_for_that_of_all_where_that_answers_as_much(world) -> None:
    world.lessons = {"north": 200, "south": 0}
    (own,) = world.round()
    assert (own.region, own.scope) == ("north", Scope.REGION)
    world.lessons["south"], world.seen["south"], world.sees["south"] = 400, "cd", "abcd"
    world.round()
    of_all = next(one for one in world.trials.all("m", "north") if one.scope is Scope.GLOBAL)
    assert (of_all.need, of_all.state) == (Need.AS_FEW, TrialState.PASSED)
    assert of_all.verdict.gained >= of_all.verdict.given_up
    assert world.running["north"].head == of_all.trial.head != own.trial.head


def test_a_region_keeps_its_own_head_where_that_of_all_answers_less(world, monkeypatch) -> None:
    world.lessons = {"north": 200, "south": 0}
    (own,) = world.round()
    monkeypatch.setitem(MEANS, "d", MEANS["c"])  # what is c in the north is called d in the south
    world.lessons["south"] = 400
    world.round()
    of_all = next(one for one in world.trials.all("m", "north") if one.scope is Scope.GLOBAL)
    assert (of_all.need, of_all.state) == (Need.AS_FEW, TrialState.FAILED)
    assert of_all.verdict.given_up > of_all.verdict.gained
    assert world.running["north"].head == own.trial.head
