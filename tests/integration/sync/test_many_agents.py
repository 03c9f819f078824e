"""Many agents that come back at once: all are let in, at the rate that was set, and operators wait for none of them."""

import itertools

import pytest

from bench.cases import MODEL
from bench.fleet_control import ControlPlane, Probe
from bench.fleet_processes import Agents

AGENTS = 300
RATE = 60.0
SLACK = 1.5
"""Admission is timed where an agent's call is taken up, and arrival where it hears of it."""
WINDOW_S = 1.0
LONGEST_BACKOFF_S = 2.0
"""Agents' own is a minute, and by chance one of so many waits for most of it."""


@pytest.fixture
def plane(tmp_path):
    plane = ControlPlane(tmp_path, f"arrivals_per_s = {RATE}")
    yield plane
    plane.stop()


@pytest.fixture
def agents(tmp_path):
    fleet = Agents(AGENTS, 2, tmp_path / "agents.log", LONGEST_BACKOFF_S)
    yield fleet
    fleet.stop()


def most_in_a_window(times: list[float]) -> int:
    first, most = 0, 0
    for last, at in enumerate(times):
        while at - times[first] > WINDOW_S:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_agents_that_all_come_back_at_once_are_let_in_one_after_the_other(plane, agents) -> None:
    plane.start()
    plane.upriver("model", "publish", str(MODEL))
    agents.start(plane.address, plane.join_token)
    agents.go()
    agents.wait(lambda state: state.attached == AGENTS, "attaching", 90)
    with plane.operator() as operator:
        name = operator.start("models/s/versions/1")
    agents.wait(lambda _: len(agents.received(name)) == AGENTS, "the assignment", 60)
    plane.kill()
    gone = agents.wait(lambda state: state.attached == 0, "the end of the streams", 30)
    plane.start()
    with plane.operator() as operator, Probe(operator, name) as probe:
        back = agents.wait(lambda state: state.attached == AGENTS, "the return", 90)
        assert operator.connected() == AGENTS
    times = agents.arrivals()[-AGENTS:]
    assert back.turned_away > gone.turned_away, "they came faster than they were let in"
    assert most_in_a_window(times) <= (RATE + RATE * WINDOW_S) * SLACK
    assert times[-1] - times[0] >= (AGENTS - RATE) / RATE / SLACK
    assert probe.trouble == ""
    assert len(probe.took_ms) > 10
    assert max(probe.took_ms) < 5_000
    assert len(agents.received(name)) == AGENTS, "nothing was sent again"
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
