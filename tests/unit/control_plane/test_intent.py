"""What agents should run, from the list of rollouts; and how that is told in the fleet."""

from dataclasses import replace

import pytest

from tests.unit.control_plane.fleet_facts import NEW, NEWER, OLD, active, agent, failed, rollout
from upriver_control.fleet import in_sync, slots
from upriver_control.intent import Intent, superseded_by
from upriver_control.observed import Activation, Failure, Pair, SlotFacts, SlotState
from upriver_control.rollout import RolloutState, Strategy

ONE = agent(1, active(OLD))


def made(generation, pair=NEW, released=1.0, state=RolloutState.COMPLETED, **more):
    return rollout(id=f"r{generation}", generation=generation, pair=pair, released=released, state=state, **more)


def desired(facts, *rollouts):
    return Intent(rollouts).desired(facts).get("digits")


def test_nobody_wants_anything_without_a_rollout():
    assert desired(ONE) is None
    assert desired(ONE, made(1, released=0.0)) is None
    assert desired(ONE, made(1, selector="tier=cloud")) is None


def test_the_newest_rollout_that_has_told_the_agent_decides():
    older, newer = made(1, NEW), made(2, NEWER)
    assert desired(ONE, older, newer).pair == NEWER
    assert desired(ONE, older, replace(newer, released=0.0)).pair == NEW
    assert desired(ONE, older, replace(newer, selector="tier=cloud")).pair == NEW
    assert desired(ONE, newer, older) == desired(ONE, older, newer)


@pytest.mark.parametrize("state", [RolloutState.CANCELLED, RolloutState.SUPERSEDED, RolloutState.PAUSED])
def test_a_rollout_that_stopped_counts_on_for_those_that_it_told(state):
    assert desired(ONE, made(1, state=state)).pair == NEW


def test_after_a_way_back_the_older_intent_counts_and_the_agent_takes_it():
    bad = made(5, NEWER, state=RolloutState.ROLLED_BACK)
    older = made(2, NEW, strategy=Strategy(activation=Activation(60.0, 10, 0.9)))
    wanted = desired(agent(1, active(NEWER, NEW, generation=5)), older, bad)
    assert (wanted.pair, wanted.rollout) == (NEW, "r2")
    assert wanted.generation == 5  # a lower one than the agent knows would be passed over
    assert wanted.activation == Activation()  # nothing is compared with what was found bad


@pytest.mark.parametrize(
    ("slot", "expected"),
    [
        (active(NEW, OLD), OLD),
        (active(OLD), OLD),
        (replace(active(OLD), candidate=NEW, state=SlotState.STAGING), OLD),
        (failed(NEW), OLD),
        (active(NEW), None),
        (SlotFacts(), None),
        (active(NEW, NEWER), None),
    ],
)
def test_without_an_older_intent_agents_go_back_to_what_they_ran(slot, expected):
    bad = made(1, NEW, state=RolloutState.ROLLING_BACK)
    bad_too = made(2, NEWER, state=RolloutState.ROLLED_BACK)
    assert desired(agent(1, slot), bad, bad_too).pair == expected


def test_an_agent_that_knows_a_higher_generation_is_told_none_lower():
    assert desired(agent(1, active(OLD, generation=90)), made(3)).generation == 90


def test_a_newer_rollout_takes_over_where_it_may_meet_the_older():
    under_way = made(1, state=RolloutState.SOAKING, selector="tier=device")
    assert superseded_by(made(2, selector="region=eu"), [under_way]) == [under_way]
    assert superseded_by(made(2, selector="tier=cloud"), [under_way]) == []
    assert superseded_by(made(2, model="other"), [under_way]) == []
    assert superseded_by(made(2), [replace(under_way, state=RolloutState.ROLLING_BACK)]) == []
    assert superseded_by(under_way, [made(2, state=RolloutState.SOAKING)]) == []


@pytest.mark.parametrize(
    ("facts", "words", "needs"),
    [
        (agent(1, active(NEW)), "", ""),
        (agent(1, active(OLD)), "it runs 1: it has been told, and has not begun", ""),
        (agent(1, active(OLD), connected=False), "it runs 1: it is not connected", "a connection"),
        (agent(1), "it runs nothing: it has been told, and has not begun", ""),
        (
            agent(1, replace(active(OLD), candidate=NEW, state=SlotState.STAGING)),
            "it runs 1: its files are being fetched",
            "",
        ),
        (
            agent(1, replace(failed(failure=Failure.DISK, reason="no space"), state=SlotState.STAGING)),
            "it runs 1: 2 is tried again: no space",
            "room on its disk",
        ),
        (agent(1, failed()), "it runs 1: 2 failed: sample 3 came out as 7", "golden samples come out"),
        (agent(1, failed(failure=Failure.UNFIT, reason="needs 40 MB, has 16")), "2 failed: needs 40", "needs 40 MB"),
        (replace(agent(1, active(OLD)), refusal="65 slots"), "it refused what it was sent: 65 slots", "mended"),
    ],
)
def test_the_fleet_says_why_an_agent_differs_and_what_it_needs(facts, words, needs):
    (view,) = slots(facts, Intent([made(1, created=100.0)]), 160.0)
    assert words in view.difference
    assert needs in view.needs
    assert in_sync((view,)) is (words == "")
    assert view.different_for_s == (60.0 if words else 0.0)


def test_a_slot_that_nobody_wants_anything_of_is_as_desired():
    (view,) = slots(ONE, Intent([]), 0.0)
    assert (view.is_wanted, view.difference, view.reported.active) == (False, "", OLD)


def test_a_slot_that_is_to_be_emptied_differs_until_it_is():
    intent = Intent([made(1, NEW, state=RolloutState.ROLLED_BACK)])
    (view,) = slots(agent(1, active(NEW)), intent, 0.0)
    assert view.difference == "it still has 2, and is to run nothing"
    (view,) = slots(agent(1, SlotFacts()), intent, 0.0)
    assert view.difference == ""


def test_the_same_version_with_another_policy_is_another_pair():
    tuned = Pair(NEW.version, NEW.version_digest, '{"threshold":0.9}')
    (view,) = slots(agent(1, active(NEW)), Intent([made(1, tuned)]), 0.0)
    assert view.difference.startswith("it runs 2")
