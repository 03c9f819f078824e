"""Fleets in virtual time, with the agent's own state machine: what must hold whatever happens."""

import time
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.agent_slots import AgentSlot
from tests.unit.control_plane.fleet_facts import OLD, rings
from upriver_control.observed import Activation, Failure, Pair, SlotState
from upriver_control.rollout import (
    Gates,
    Release,
    Rollout,
    RolloutState,
    Strategy,
    cancel,
    pause,
    position,
    resume,
    roll_back,
)
from upriver_control.simulator import Nature, Simulation, Weather

TERMINAL = (Failure.UNTRUSTED, Failure.SELF_TEST, Failure.GOLDEN, Failure.SHADOW, Failure.DISK)
SELECTORS = ("", "tier=device", "canary=true", "canary!=true,region=eu")


def pair(number):
    policy = "" if number % 2 else f'{{"threshold":0.{number}}}'
    return Pair(f"models/digits/versions/{number}", f"sha256:{number}" + "0" * 60, policy)


STRATEGIES = st.builds(
    Strategy,
    rings=st.lists(st.sampled_from([1, 3, 10.0, 50.0]), max_size=3, unique=True).map(lambda s: rings(*s, 100.0)),
    max_unavailable=st.sampled_from([0, 1, 3]),
    soak_s=st.sampled_from([0.0, 5.0, 40.0]),
    failure_limit=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    min_sample=st.sampled_from([1, 3, 1000]),
    progress_deadline_s=st.sampled_from([20.0, 60.0]),
    gates=st.builds(Gates, st.none(), st.sampled_from([None, 1.5]), st.sampled_from([None, 0.2])),
    activation=st.builds(Activation, st.sampled_from([0.0, 3.0])),
)
WEATHERS = st.builds(
    Weather,
    delay_s=st.sampled_from([0.01, 1.0, 5.0]),
    loss=st.sampled_from([0.0, 0.1, 0.5]),
    cuts_per_s=st.sampled_from([0.0, 0.005, 0.05]),
    away_s=st.sampled_from([1.0, 30.0, 200.0]),
    noticed_s=st.sampled_from([0.5, 20.0]),
    restarts_per_s=st.sampled_from([0.0, 0.005, 0.05]),
    work_s=st.sampled_from([0.1, 2.0, 15.0]),
)
NATURES = st.builds(
    Nature,
    failures=st.dictionaries(st.sampled_from([f for f in Failure if f]), st.sampled_from([0.1, 0.5, 1.0]), max_size=2),
    latency_bucket=st.sampled_from([40, 41, 50]),
    escalation_rate=st.sampled_from([0.1, 0.6]),
)
STARTS = st.lists(
    st.tuples(st.floats(0, 200), st.integers(2, 5), st.sampled_from(SELECTORS), STRATEGIES), min_size=1, max_size=4
)
DEEDS = st.lists(
    st.tuples(st.floats(0, 300), st.integers(0, 3), st.sampled_from(["pause", "cancel", "back"])), max_size=2
)


def dice(seed):
    return Random(seed)  # noqa: S311 - it plays a fleet


def failing_share(simulation, before, ring):
    """The share of a ring's agents that failed among those that settled, by what was reported, counted anew."""
    low, high = (before.cuts[ring - 1] if ring else 0.0), before.cuts[ring]
    good = bad = 0
    for facts in simulation.seen.values():
        slot = facts.slots["digits"]
        if before.matches(facts.labels) and low <= position(before.id, facts.agent) < min(high, before.released):
            good += before.pair.is_same(slot.active)
            failed = slot.state is SlotState.FAILED and before.pair.is_same(slot.candidate)
            bad += failed and slot.failure in TERMINAL and not before.pair.is_same(slot.active)
    return bad / (good + bad) if good + bad else 0.0


def told_at(rollout, facts):
    return max(rollout.released_at(position(rollout.id, facts.agent)), facts.connected_since)


def on_their_way(simulation, rollout):
    """Agents that were told, are connected, and have not moved yet; one that takes too long has failed."""
    return sum(
        facts.connected
        and rollout.matches(facts.labels)
        and rollout.has_released(facts.agent)
        and not rollout.pair.is_same(facts.slots["digits"].active)
        and facts.slots["digits"].state is not SlotState.FAILED
        and simulation.now < told_at(rollout, facts) + rollout.strategy.progress_deadline_s
        for facts in simulation.seen.values()
    )


def invariants(simulation):
    def check(before, after, commands):
        assert after.released >= before.released
        assert before.cuts == after.cuts[: len(before.cuts)]
        if before.has_ended:
            assert after == before
        if after.ring > before.ring:
            for ring in range(after.ring):
                assert failing_share(simulation, before, ring) <= before.strategy.failure_limit
        limit = before.strategy.max_unavailable
        if limit and any(isinstance(command, Release) for command in commands):
            assert on_their_way(simulation, after) <= max(limit, on_their_way(simulation, before))

    return check


def do(simulation, deed, number):
    current = sorted(simulation.rollouts.values(), key=lambda one: one.generation)
    if not current:
        return
    chosen, now = current[number % len(current)], simulation.now
    match deed:
        case "pause" if chosen.state in (RolloutState.PROGRESSING, RolloutState.SOAKING):
            simulation.put(pause(chosen, now))
        case "cancel" if not chosen.has_ended and not chosen.is_withdrawn:
            simulation.put(cancel(chosen, now))
        case "back" if not chosen.is_withdrawn:
            simulation.put(roll_back(chosen, "a person said so", now))


def quiet(simulation):
    return all(one.has_ended for one in simulation.rollouts.values())


def longest_s(strategy, agents):
    """Every ring waits for its waves, each at most three deadlines long, and soaks; and then goes back."""
    waves = agents if strategy.max_unavailable else 1
    rings_s = len(strategy.rings) * (3 * strategy.progress_deadline_s + strategy.soak_s + 10)
    return rings_s + waves * 3 * strategy.progress_deadline_s + strategy.progress_deadline_s + 10


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.integers(0, 2**32), st.integers(0, 25), WEATHERS, st.dictionaries(st.integers(2, 5), NATURES), STARTS, DEEDS)
def test_whatever_happens(seed, count, weather, natures, starts, deeds):
    chance = dice(seed)
    by_digest = {pair(number).version_digest: nature for number, nature in natures.items()}
    simulation = Simulation(chance, lambda: AgentSlot(OLD), by_digest, weather, round_s=2.0)
    labels = [
        {"tier": chance.choice(["device", "cloud"]), "region": chance.choice(["eu", "us"])}
        | ({"canary": "true"} if chance.random() < 0.2 else {})
        for _ in range(count)
    ]
    simulation.add(labels, within_s=chance.choice([0.0, 100.0]))
    check = invariants(simulation)
    plan = [(at, "start", (number, selector, strategy)) for at, number, selector, strategy in starts]
    plan += [(at, deed, number) for at, number, deed in deeds]
    for index, (at, what, more) in enumerate(sorted(plan, key=lambda one: one[0])):
        simulation.run(max(simulation.now, at), check)
        if what == "start":
            number, selector, strategy = more
            simulation.start(Rollout(f"r{index}", pair(number), "digits", 0.0, selector, strategy))
        else:
            do(simulation, what, more)
    for rollout in list(simulation.rollouts.values()):
        if rollout.state is RolloutState.PAUSED:
            simulation.put(resume(rollout, simulation.now))
    until = simulation.now + sum(longest_s(strategy, count) for _, _, _, strategy in starts)
    while not quiet(simulation) and simulation.now < until:
        simulation.run(simulation.now + 50.0, check)
    assert quiet(simulation), [(one.id, one.state, one.ring) for one in simulation.rollouts.values()]
    everybody_ends_as_the_newest_intent_says(simulation)


def everybody_ends_as_the_newest_intent_says(simulation):
    simulation.calm_down()
    simulation.run(simulation.now + 600.0)
    for name in simulation.agents:
        slot, desired = simulation.agents[name].machine.facts(), simulation.desired(name)
        including = [
            one
            for one in simulation.rollouts.values()
            if one.matches(simulation.seen[name].labels) and one.has_released(name)
        ]
        wanted = [one for one in including if not one.is_withdrawn]
        if wanted:
            newest = max(wanted, key=lambda one: one.generation)
            assert (desired.rollout, desired.pair) == (newest.id, newest.pair)
        if desired is None:
            assert not including
            assert slot.active == OLD
        elif slot.state is SlotState.FAILED or (slot.candidate is not None and slot.state is SlotState.STAGING):
            assert slot.candidate == desired.pair  # it fails by nature, and keeps what it had
        else:
            assert slot.active == desired.pair
            assert slot.candidate is None


def device_labels(count):
    return [{"tier": "device", "region": "eu"}] * count


def test_a_hundred_thousand_agents_get_a_version_in_virtual_time():
    begun = time.process_time()
    natures = {pair(3).version_digest: Nature({Failure.UNFIT: 0.02, Failure.GOLDEN: 0.01})}
    weather = Weather(cuts_per_s=0.0005, restarts_per_s=0.0002, loss=0.01)
    simulation = Simulation(dice(7), lambda: AgentSlot(OLD), natures, weather, round_s=20.0)
    simulation.add(device_labels(100_000), within_s=60.0)
    simulation.run(60.0)
    strategy = Strategy(
        rings(100, 10.0, 100.0), soak_s=20.0, failure_limit=0.1, min_sample=20, progress_deadline_s=60.0
    )
    made = simulation.start(Rollout("big", pair(3), "digits", 0.0, "tier=device", strategy))
    sizes = []
    while not simulation.rollouts[made.id].has_ended and simulation.now < 2000.0:
        simulation.run(simulation.now + 20.0, lambda _, after, __: sizes.append(after.released))
    done = simulation.rollouts[made.id]
    assert done.state is RolloutState.COMPLETED, done.reason
    assert sizes == sorted(sizes)
    moved = sum(agent.machine.facts().active == pair(3) for agent in simulation.agents.values())
    assert moved > 90_000
    # Some 20 to 35 s of a processor; the bound tells a pass over the fleet from one for each agent.
    assert time.process_time() - begun < 120.0


@pytest.mark.parametrize("failure", [Failure.GOLDEN, Failure.SELF_TEST])
def test_a_bad_version_reaches_the_first_ring_of_a_large_fleet_only(failure):
    natures = {pair(3).version_digest: Nature({failure: 1.0})}
    simulation = Simulation(dice(1), lambda: AgentSlot(OLD), natures)
    simulation.add(device_labels(2000))
    simulation.run(2.0)
    made = simulation.start(Rollout("bad", pair(3), "digits", 0.0, strategy=Strategy(rings(10, 10.0, 100.0))))
    simulation.run(200.0, invariants(simulation))
    done = simulation.rollouts[made.id]
    assert done.state is RolloutState.ROLLED_BACK
    assert len(done.cuts) == 1
    assert {agent.machine.facts().active for agent in simulation.agents.values()} == {OLD}


def test_a_seed_gives_the_same_run_again():
    def run():
        weather = replace(Weather(), cuts_per_s=0.01, loss=0.1)
        simulation = Simulation(dice(3), lambda: AgentSlot(OLD), {}, weather)
        simulation.add(device_labels(50), within_s=30.0)
        simulation.start(Rollout("r", pair(2), "digits", 0.0))
        simulation.run(100.0)
        return simulation.rollouts, simulation.seen

    assert run() == run()
