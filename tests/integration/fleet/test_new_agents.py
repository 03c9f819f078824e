"""Agents that come when everything is in place already: models come to them from the agents above."""

import json
from contextlib import ExitStack

from tests.agent_process import until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish
from tests.versions import MIB

SIZE = 8 * MIB


def test_who_joins_later_costs_the_control_plane_no_copy(tmp_path):
    with control_plane(tmp_path / "control") as plane, ExitStack() as stack:
        publish(plane, tmp_path, "v1", SIZE)
        agents = {
            name: stack.enter_context(following(tmp_path, plane, name, tier))
            for name, tier in (("cloud-1", "cloud"), ("far-1", "far-edge"))
        }
        plane.upriver("rollout", "start", "pattern/v1", "--rings", "100%", "--soak", "0s", "--wait")
        for number in range(3):
            name = f"dev-{number}"
            agents[name] = stack.enter_context(following(tmp_path, plane, name))
        until(lambda: all(version_of(agent) == "v1" for agent in agents.values()), 60, "the version everywhere")
        until(lambda: fetched(plane)["dev-2"]["agent_bytes"] > SIZE, 30, "reports of what was fetched")
        told = fetched(plane)
        print(told)
        assert {name: told[name]["control_plane_bytes"] for name in told if name != "cloud-1"} == {
            name: 0 for name in told if name != "cloud-1"
        }
        assert SIZE < told["cloud-1"]["control_plane_bytes"] < 1.1 * SIZE


def fetched(plane):
    """What each agent has received, by name."""
    return {agent["name"]: agent["fetched"] for agent in json.loads(plane.upriver("fleet", "list", "--json"))["agents"]}
