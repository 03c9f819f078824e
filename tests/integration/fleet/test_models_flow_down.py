"""Published, signed, pushed, fetched, verified and answered with: a real control plane, real agents, real commands."""

import json
from contextlib import ExitStack

import pytest

from tests.agent_process import running, until
from tests.asking import ask, version_of
from tests.control_plane_process import control_plane, following
from tests.versions import make_version

NEVER, ALWAYS = 2.0, 0.0


def test_an_operator_publishes_once_and_every_agent_gets_it_through_the_one_above(tmp_path):
    with control_plane(tmp_path / "control") as plane, ExitStack() as stack:
        agents = {
            name: stack.enter_context(following(tmp_path, plane, name, tier))
            for name, tier in (("cloud-1", "cloud"), ("far-1", "far-edge"), ("dev-1", "device"), ("dev-2", "device"))
        }
        for version, threshold in (("v1", NEVER), ("v2", ALWAYS)):
            plane.upriver("model", "publish", str(make_version(tmp_path, version, threshold)))
        plane.upriver("rollout", "start", "pattern/v2", "--selector", "tier=cloud", "--soak", "0s", "--wait")
        assert version_of(agents["cloud-1"]) == "v2"
        assert version_of(agents["dev-1"]) == ""
        plane.upriver(
            "rollout", "start", "pattern/v1", "--selector", "tier=device", "--rings", "1,100%", "--soak", "0s", "--wait"
        )
        assert [version_of(agents[name]) for name in ("dev-1", "dev-2")] == ["v1", "v1"]
        told = ask(agents["dev-1"])
        # Its own threshold is never reached, so the answer comes from the only agent above that has the model.
        assert told.parameters["upriver.tier"].string_param == "cloud"
        assert "unknown model" not in agents["dev-1"].log.read_text()  # the far edge, which has none, was not asked
        fleet = json.loads(plane.upriver("fleet", "list", "--json"))
        assert {agent["name"] for agent in fleet["agents"]} == {*agents}, fleet
        assert all(agent["in_sync"] for agent in fleet["agents"]), fleet


def test_the_fleet_tells_who_received_how_many_bytes_of_blobs_and_from_whom(tmp_path):
    published = make_version(tmp_path, "v1", ALWAYS)
    size = sum((published / name).stat().st_size for name in ("model.tflite", "manifest.toml"))
    with control_plane(tmp_path / "control") as plane, ExitStack() as stack:
        for name, tier in (("cloud-1", "cloud"), ("dev-1", "device"), ("dev-2", "device")):
            stack.enter_context(following(tmp_path, plane, name, tier))
        plane.upriver("model", "publish", str(published))
        operator = stack.enter_context(plane.stubs())
        until(lambda: len(operator.agents()) == 3, 20, "all agents")
        plane.upriver("rollout", "start", "pattern/v1", "--selector", "tier=device", "--soak", "0s", "--wait")
        # The relay runs nothing itself, so nobody watches it, and yet it tells within a second or so.
        told = until(lambda: (agents := operator.agents())["cloud-1"].fetched_control_plane_bytes and agents, 8)
        received = {name: (one.fetched_control_plane_bytes, one.fetched_agent_bytes) for name, one in told.items()}
        assert received == {"cloud-1": (size, 0), "dev-1": (0, size), "dev-2": (0, size)}
        fetched = json.loads(plane.upriver("fleet", "show", "dev-1", "--json"))["fetched"]
        assert fetched == {"control_plane_bytes": 0, "agent_bytes": size, "delta_saved_bytes": 0}
        assert f"{size:,} from agents" in plane.upriver("fleet", "show", "dev-1")


def test_an_agent_boots_with_what_it_had_when_nothing_can_be_reached_and_catches_up_later(tmp_path):
    with control_plane(tmp_path / "control") as plane:
        for version, threshold in (("v1", ALWAYS), ("v2", ALWAYS)):
            plane.upriver("model", "publish", str(make_version(tmp_path, version, threshold)))
        with following(tmp_path, plane, "dev-1") as agent:
            plane.upriver("rollout", "start", "pattern/v1", "--soak", "0s", "--wait")
            assert version_of(agent) == "v1"
            plane.kill()
            assert version_of(agent) == "v1"
            agent.kill()
        with running(agent.config, "dev-1") as agent:
            assert version_of(agent) == "v1"  # it answers as soon as it is ready, from its own disk
            agent.kill()
        plane.start()
        plane.upriver("rollout", "start", "pattern/v2")  # while the agent is off
        with running(agent.config, "dev-1") as agent:
            until(lambda: version_of(agent) == "v2", 30, "catching up")


@pytest.mark.parametrize("token", ["wrong", ""])
def test_who_shows_no_right_token_is_refused_with_what_was_expected(tmp_path, token):
    with control_plane(tmp_path / "control") as plane:
        plane.join = plane.join.replace(plane.join.split("//")[1].split("@")[0] + "@", f"{token}@" if token else "")
        with following(tmp_path, plane, "dev-1") as agent:
            until(lambda: "join token" in agent.log.read_text(), 20, "the refusal in the agent's log")
            with plane.stubs() as operator:
                assert operator.agents() == {}
