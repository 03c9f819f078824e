"""A rollout, step by step, over agents whose reports the test writes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.fleet_facts import NEW, OLD, active, agent, failed, fleet, put, rings, rollout
from upriver.errors import NotNow
from upriver_control.observed import Failure, SlotState
from upriver_control.rollout import (
    Finish,
    Gates,
    Release,
    RolloutState,
    Strategy,
    Withdraw,
    actions,
    cancel,
    pause,
    resume,
    roll_back,
    step,
    supersede,
)
from upriver_control.rollout.model import with_wave


def told(rollout, agents):
    return [name for name in agents if rollout.has_released(name)]


def move_all(current, agents, pair=NEW, **more):
    for name in told(current, agents):
        if agents[name].connected:
            put(agents, name, active(pair, OLD, **more))


def run(current, agents, now, until, each=None):
    """Steps every second, with every told agent moved at once, until it has ended or time is up."""
    while now < until and not current.has_ended:
        current, _ = step(current, agents, now)
        if each is not None:
            each(current)
        move_all(current, agents)
        now += 1.0
    return current


def test_rings_open_one_after_the_other_and_reach_everybody():
    agents = fleet(50)
    sizes = []
    made = rollout(strategy=Strategy(rings=rings(1, 20, 50.0, 100.0)))
    done = run(made, agents, 0.0, 100.0, lambda one: sizes.append(len(told(one, agents))))
    assert done.state is RolloutState.COMPLETED
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert {1, 20, 50} <= set(sizes)
    assert done.released == 1.0
    done, _ = step(done, agents, 200.0)
    assert sum(ring.active for ring in done.rings) == 49 or sum(ring.active for ring in done.rings) == 50


def test_the_next_ring_waits_for_the_soak_time():
    agents = fleet(10)
    current, commands = step(rollout(strategy=Strategy(rings=rings(2, 100.0), soak_s=30.0)), agents, 0.0)
    assert [type(command) for command in commands] == [Release]
    move_all(current, agents)
    current, _ = step(current, agents, 1.0)
    assert (current.state, current.ring) == (RolloutState.SOAKING, 0)
    current, _ = step(current, agents, 30.9)
    assert len(told(current, agents)) == 2
    current, _ = step(current, agents, 31.0)
    assert (current.state, current.ring) == (RolloutState.PROGRESSING, 1)
    assert len(told(current, agents)) == 10


def test_a_failure_above_the_limit_sends_the_moved_agents_back_and_says_why():
    agents = fleet(10)
    current, _ = step(rollout(strategy=Strategy(rings=rings(2, 100.0))), agents, 0.0)
    one, two = told(current, agents)
    put(agents, one, active(NEW, OLD))
    put(agents, two, failed())
    current, commands = step(current, agents, 1.0)
    assert current.state is RolloutState.ROLLING_BACK
    assert isinstance(commands[0], Withdraw)
    assert "ring 1: 1 of 2 agents failed, at most 0% may: golden: sample 3 came out as 7 (1)" in current.reason
    current, _ = step(current, agents, 2.0)
    assert current.state is RolloutState.ROLLING_BACK
    put(agents, one, active(OLD, NEW))
    put(agents, two, active(OLD))
    current, commands = step(current, agents, 3.0)
    assert commands == (Finish(RolloutState.ROLLED_BACK, current.reason),)
    assert "golden" in current.reason


def test_the_way_back_is_not_waited_for_longer_than_the_progress_deadline():
    agents = fleet(3)
    current, _ = step(rollout(strategy=Strategy(progress_deadline_s=60.0)), agents, 0.0)
    move_all(current, agents)
    current = roll_back(current, "it is worse", 5.0)
    current, _ = step(current, agents, 64.0)
    assert current.state is RolloutState.ROLLING_BACK
    current, _ = step(current, agents, 65.0)
    assert current.state is RolloutState.ROLLED_BACK
    assert current.reason == "it is worse; 3 connected agents still run it"


def test_offline_agents_neither_block_nor_count_as_failed():
    agents = fleet(10, connected=False) | {facts.agent: facts for facts in [agent(99, active())]}
    done = run(rollout(strategy=Strategy(rings=rings(1, 100.0))), agents, 0.0, 100.0)
    assert done.state is RolloutState.COMPLETED
    assert sum(ring.offline for ring in done.rings) == 10
    assert agents["a00099"].slots["digits"].active == NEW


def test_a_counted_ring_holds_connected_agents_so_that_it_shows_something():
    agents = fleet(40, connected=False)
    for name in list(agents)[:5]:
        agents[name] = replace(agents[name], connected=True)
    current, _ = step(rollout(strategy=Strategy(rings=rings(2, 100.0))), agents, 0.0)
    assert sum(agents[name].connected for name in told(current, agents)) == 2


def test_an_agent_that_does_not_move_in_time_counts_as_failed():
    agents = fleet(4)
    current, _ = step(rollout(strategy=Strategy(rings=rings(1, 100.0), progress_deadline_s=60.0)), agents, 0.0)
    current, _ = step(current, agents, 59.0)
    assert current.state is RolloutState.PROGRESSING
    current, _ = step(current, agents, 60.0)
    assert current.state is RolloutState.ROLLING_BACK
    assert "has not begun after 60 s" in current.reason


def test_an_agent_that_came_back_has_its_whole_time_but_is_not_waited_for_forever():
    agents = fleet(4)
    made = rollout(strategy=Strategy(rings=rings(1, 100.0), progress_deadline_s=60.0))
    current, _ = step(made, agents, 0.0)
    (canary,) = told(current, agents)
    agents[canary] = replace(agents[canary], connected_since=50.0)
    current, _ = step(current, agents, 100.0)
    assert (current.state, current.ring) == (RolloutState.PROGRESSING, 0)
    agents[canary] = replace(agents[canary], connected_since=179.0)
    current, _ = step(current, agents, 180.0)
    assert (current.state, current.ring) == (RolloutState.PROGRESSING, 1)


def test_an_agent_that_can_not_fetch_is_waited_for_and_then_counts():
    agents = fleet(1)
    current, _ = step(rollout(strategy=Strategy(progress_deadline_s=60.0)), agents, 0.0)
    put(agents, "a00000", failed(failure=Failure.UNAVAILABLE, reason="nobody has it"))
    current, _ = step(current, agents, 30.0)
    assert current.state is RolloutState.PROGRESSING
    current, _ = step(current, agents, 61.0)
    assert "unavailable: nobody has it" in current.reason


def test_agents_that_can_not_run_a_pair_say_nothing_against_it():
    agents = fleet(10)
    current, _ = step(rollout(strategy=Strategy(rings=rings(4, 100.0))), agents, 0.0)
    first, *others = told(current, agents)
    put(agents, first, active(NEW, OLD))
    for name in others:
        put(agents, name, failed(failure=Failure.UNFIT, reason="needs 40 MB"))
    current, _ = step(current, agents, 1.0)
    assert current.ring == 1
    assert current.rings[0].failures == {"unfit: needs 40 MB": 3}


def test_a_pair_that_nobody_can_run_goes_back():
    agents = fleet(3, failed(failure=Failure.UNFIT, reason="needs 40 MB"))
    current, _ = step(rollout(), agents, 0.0)
    current, _ = step(current, agents, 1.0)
    assert current.reason == "none of the 3 agents that were told to move can run it: unfit: needs 40 MB (3)"


def test_a_small_sample_does_not_judge_until_the_ring_is_through():
    agents = fleet(10)
    strategy = Strategy(rings=rings(4, 100.0), failure_limit=0.3, min_sample=3)
    current, _ = step(rollout(strategy=strategy), agents, 0.0)
    one, two, *others = told(current, agents)
    put(agents, one, failed())
    put(agents, two, active(NEW, OLD))
    current, _ = step(current, agents, 1.0)
    assert current.state is RolloutState.PROGRESSING
    for name in others:
        put(agents, name, active(NEW, OLD))
    current, _ = step(current, agents, 2.0)
    assert (current.state, current.ring) == (RolloutState.PROGRESSING, 1)


def test_a_ring_smaller_than_the_sample_is_judged_when_it_is_through():
    agents = fleet(10)
    current, _ = step(rollout(strategy=Strategy(rings=rings(1, 100.0), min_sample=50)), agents, 0.0)
    put(agents, told(current, agents)[0], failed())
    current, _ = step(current, agents, 1.0)
    assert current.state is RolloutState.ROLLING_BACK


def test_a_model_that_fails_on_live_requests_counts_as_failed():
    agents = fleet(3)
    current, _ = step(rollout(), agents, 0.0)
    move_all(current, agents, rows=2, failures=10)
    current, _ = step(current, agents, 1.0)
    assert "fails on more requests than it answers" in current.reason


@pytest.mark.parametrize(
    ("gates", "old", "new", "words"),
    [
        (Gates(max_latency_ratio=1.5), {"bucket": 40}, {"bucket": 48}, "4.00 times"),
        (Gates(max_escalation_increase=0.1), {"escalated": 100}, {"escalated": 500}, "40.0% more"),
        (Gates(min_agreement=0.9), {}, {"shadow_rows": 100, "shadow_agreed": 80}, "agreement"),
    ],
)
def test_a_gate_on_live_figures_sends_it_back(gates, old, new, words):
    strategy = Strategy(rings=rings(2, 100.0), gates=gates, min_sample=50, soak_s=10.0)
    agents = fleet(10, active(rows=1000, **old))
    current, _ = step(rollout(strategy=strategy), agents, 0.0)
    move_all(current, agents, rows=10, **{**new, "escalated": new.get("escalated", 0) // 100})
    still, _ = step(current, agents, 1.0)
    if "shadow_rows" not in new:
        assert still.state is RolloutState.SOAKING  # 20 rows are no sample
    move_all(current, agents, rows=1000, **new)
    current, _ = step(still, agents, 2.0)
    assert current.state in (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK)
    assert words in current.reason


def test_the_last_ring_is_compared_with_what_the_others_did_before_they_moved():
    strategy = Strategy(rings=rings(100.0), gates=Gates(max_latency_ratio=1.5), min_sample=50, soak_s=10.0)
    agents = fleet(10, active(rows=1000))
    current, _ = step(rollout(strategy=strategy), agents, 0.0)
    move_all(current, agents, rows=1000, bucket=50)
    current, _ = step(current, agents, 1.0)
    assert "p95" in current.reason


def test_gates_without_a_sample_pass_so_that_idle_agents_get_theirs():
    gates = Gates(0.9, 1.1, 0.01)
    done = run(rollout(strategy=Strategy(gates=gates, min_sample=1000, soak_s=5.0)), fleet(5), 0.0, 50.0)
    assert done.state is RolloutState.COMPLETED


def test_at_most_so_many_are_on_their_way():
    agents = fleet(40)
    current = rollout(strategy=Strategy(max_unavailable=3))
    for now in range(200):
        current, _ = step(current, agents, float(now))
        moving = [name for name in told(current, agents) if agents[name].slots["digits"].active == OLD]
        assert len(moving) <= 3
        for name in moving[:2]:
            put(agents, name, active(NEW, OLD))
    assert current.state is RolloutState.COMPLETED


def test_agents_that_run_the_pair_already_are_not_on_their_way():
    agents = fleet(40, active(NEW))
    current, _ = step(rollout(strategy=Strategy(max_unavailable=1)), agents, 0.0)
    assert current.released == 1.0


def test_a_paused_rollout_releases_nobody_and_a_breach_still_counts():
    agents = fleet(10)
    current, _ = step(rollout(strategy=Strategy(rings=rings(2, 100.0))), agents, 0.0)
    move_all(current, agents)
    current = pause(current, 1.0)
    for now in range(2, 50):
        current, commands = step(current, agents, float(now))
        assert commands == ()
    assert current.state is RolloutState.PAUSED
    assert len(told(current, agents)) == 2
    resumed, _ = step(resume(current, 50.0), agents, 51.0)
    assert resumed.ring == 1
    put(agents, told(current, agents)[0], failed())
    assert step(current, agents, 51.0)[0].state is RolloutState.ROLLING_BACK


def test_a_fleet_without_a_matching_agent_completes():
    assert run(rollout(selector="tier=cloud"), fleet(5), 0.0, 10.0).state is RolloutState.COMPLETED


@pytest.mark.parametrize("state", list(RolloutState))
def test_what_a_state_forbids_is_refused_with_what_to_do(state):
    current = rollout(state=state)
    for change in (pause, resume, cancel):
        try:
            changed = change(current, 1.0)
        except NotNow as refused:
            text = str(refused)
        else:
            text = f"rollouts/r1 {changed.state}"
        assert text.startswith("rollouts/r1 ")
    back = roll_back(current, "why", 1.0)
    assert back.is_withdrawn
    newer = rollout(id="r2", generation=8)
    assert supersede(current, newer, 1.0).state is (
        state if current.has_ended or current.is_withdrawn else RolloutState.SUPERSEDED
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 500)), max_size=400))
def test_waves_are_remembered_within_bounds_and_the_share_only_grows(changes):
    current, now = rollout(), 0.0
    for cut, passed in changes:
        now += passed
        before = current.released
        current = with_wave(current, cut, now)
        assert current.released >= before
        assert [wave.cut for wave in current.waves] == sorted({wave.cut for wave in current.waves})
    assert len(current.waves) <= 600
    if current.released:
        assert current.released_at(0.0) <= now


def test_an_agent_half_way_is_told_apart_from_one_that_has_not_begun():
    agents = fleet(1)
    current, _ = step(rollout(strategy=Strategy(progress_deadline_s=60.0)), agents, 0.0)
    put(agents, "a00000", replace(active(), candidate=NEW, state=SlotState.STAGING))
    current, _ = step(current, agents, 60.0)
    assert "still staging after 60 s" in current.reason


ASKED = {
    "pause": lambda one: pause(one, 5.0),
    "resume": lambda one: resume(one, 5.0),
    "cancel": lambda one: cancel(one, 5.0),
    "roll-back": lambda one: roll_back(one, "", 5.0),
}


@pytest.mark.parametrize("state", RolloutState)
@pytest.mark.parametrize("asked", ASKED)
def test_a_rollout_says_what_can_be_asked_of_it_and_nothing_that_is_refused_or_changes_nothing(asked, state):
    current = replace(rollout(), state=state)
    try:
        changes = ASKED[asked](current) is not current
    except NotNow:
        changes = False
    assert (asked in actions(current)) == changes
