"""What operators type, each command once, against a real control plane with real agents."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent_process import until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish
from tests.freezing import freeze
from tests.terminals import terminal
from tests.versions import MIB, make_version, pad

UPRIVER = str(Path(sys.executable).with_name("upriver"))
AT_ONCE = ("--rings", "100%", "--soak", "0s")
LONG = ("--progress-deadline", "10m")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A control plane with versions v1 to v3, and two agents."""
    folder = tmp_path_factory.mktemp("fleet")
    with (
        control_plane(folder / "control") as plane,
        following(folder, plane, "dev-1") as one,
        following(folder, plane, "dev-2") as two,
    ):
        for version in ("v1", "v2", "v3"):
            publish(plane, folder, version)
        yield plane, one, two


@pytest.fixture
def fleet(running):
    """The same, and both agents run v1."""
    running[0].upriver("rollout", "start", "pattern/v1", *AT_ONCE, "--wait")
    return running


def started(plane, *arguments):
    return json.loads(plane.upriver("rollout", "start", *arguments, "--json"))["name"]


def status(plane, name):
    return json.loads(plane.upriver("rollout", "status", name, "--json"))


def refused(plane, *arguments):
    done = subprocess.run([UPRIVER, *arguments], env=plane.operator(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


@contextmanager
def stopped(agent):
    freeze(agent.pid)
    try:
        yield
    finally:
        os.kill(agent.pid, signal.SIGCONT)


def test_a_version_is_published_once_and_what_is_needed_is_not_deleted(fleet, tmp_path):
    plane, *_ = fleet
    same = make_version(tmp_path, "v2", 0.0)
    again = plane.upriver("model", "publish", str(same))
    assert "was published already: nothing changed" in again
    told = json.loads(plane.upriver("model", "publish", str(same), "--json"))
    assert not told["created"]
    assert told["version"]["digest"] == json.loads(plane.upriver("model", "show", "pattern/v2", "--json"))["digest"]
    other = make_version(tmp_path / "other", "v2", 0.25)
    refusal = refused(plane, "model", "publish", str(other))
    assert "models/pattern/versions/v2" in refusal
    assert "another" in refusal
    assert told["version"]["digest"] == json.loads(plane.upriver("model", "show", "pattern/v2", "--json"))["digest"]

    wanting = refused(plane, "model", "delete", "pattern/v1")
    assert "rollouts bring it to agents: rollouts/pattern-" in wanting
    plane.upriver("rollout", "start", "pattern/v2", *AT_ONCE, "--wait")
    having = refused(plane, "model", "delete", "pattern/v1")
    assert "agents/dev-1, agents/dev-2" in having
    publish(plane, tmp_path, "nobodys")
    plane.upriver("model", "delete", "pattern/nobodys")
    listed = json.loads(plane.upriver("model", "list", "pattern", "--json"))["versions"]
    assert [version["name"].rpartition("/")[2] for version in listed] == ["v3", "v2", "v1"]


def test_a_rollout_is_paused_resumed_cancelled_and_rolled_back(fleet):
    plane, one, two = fleet
    name = started(plane, "pattern/v2", "--rings", "1,100%", "--soak", "1m", *LONG)
    moved = until(lambda: {version_of(one), version_of(two)} == {"v1", "v2"}, 30, "the first ring")
    assert moved
    assert "paused" in plane.upriver("rollout", "pause", name)
    assert status(plane, name)["state"] == "paused"
    assert status(plane, plane.upriver("rollout", "resume", name).split()[0])["state"] in ("soaking", "progressing")
    assert "cancelled" in plane.upriver("rollout", "cancel", name)
    assert "only one that is" in refused(plane, "rollout", "pause", name)
    assert {version_of(one), version_of(two)} == {"v1", "v2"}  # who has moved stays
    plane.upriver("rollout", "rollback", name)
    until(lambda: {version_of(one), version_of(two)} == {"v1"}, 30, "back")

    whole = started(plane, "pattern/v2", *AT_ONCE)
    lines = plane.upriver("rollout", "watch", whole, "--json").splitlines()
    assert json.loads(lines[-1])["state"] == "completed"
    assert {version_of(one), version_of(two)} == {"v2"}
    plane.upriver("rollout", "rollback", whole, "--reason", "sevens are read as ones")
    until(lambda: status(plane, whole)["state"] == "rolled-back", 30, "the end of the way back")
    assert {version_of(one), version_of(two)} == {"v1"}
    shown = plane.upriver("rollout", "status", whole)
    assert "sevens are read as ones" in shown
    listed = json.loads(plane.upriver("rollout", "list", "--limit", "3", "--json"))
    assert [one["state"] for one in listed] == ["rolled-back", "rolled-back", "completed"]


def test_a_stuck_rollout_does_not_hold_up_the_next_one(fleet):
    plane, one, two = fleet
    with stopped(one):
        stuck = started(plane, "pattern/v2", "--selector", "agent=dev-1", *AT_ONCE, *LONG)
        until(lambda: status(plane, stuck)["rings"][0]["released"] == 1, 20, "its agent is told")
        newer = started(plane, "pattern/v3", *AT_ONCE, *LONG)
        until(lambda: version_of(two) == "v3", 30, "the other agent has what is newer")
        assert status(plane, stuck)["state"] == "superseded"
        assert status(plane, newer)["state"] == "progressing"
        shown = json.loads(plane.upriver("fleet", "list", "--out-of-sync", "--json"))
        assert [agent["name"] for agent in shown["agents"]] == ["dev-1"]
    until(lambda: status(plane, newer)["state"] == "completed", 60, "its end once the agent goes on")
    assert version_of(one) == "v3"


def test_rollouts_and_the_fleet_are_watched_in_a_terminal(fleet):
    plane, one, two = fleet
    with terminal([UPRIVER, "fleet", "watch"], plane.operator()) as watching:
        watching.read("2 agents, 2 connected, 0 not as desired")
        order = ("rollout", "start", "pattern/v2", "--rings", "1,100%", "--soak", "2s", "--wait")
        with terminal([UPRIVER, *order], plane.operator()) as rollout:
            rollout.read()
            assert rollout.process.wait(20) == 0
            assert "every ring has moved" in rollout.text
            assert rollout.text.count("agents told active") > 1  # the table was drawn more than once
            name = rollout.text.split()[0]
        assert f"rollouts/{name} completed" in plane.upriver("rollout", "watch", name)
        watching.read("pattern v2")
        watching.press("\x03")
        watching.read()
        assert watching.process.wait(20) == 0
    assert {version_of(one), version_of(two)} == {"v2"}
    shown = plane.upriver("fleet", "show", "dev-1")
    assert "as desired" in shown
    assert "v2" in shown
    listed = plane.upriver("fleet", "list", "--selector", "agent=dev-2")
    assert "dev-2" in listed
    assert "dev-1" not in listed


def test_a_large_version_is_published_in_seconds_and_shows_how_far_it_is(fleet, tmp_path):
    plane, *_ = fleet
    large = pad(make_version(tmp_path, "large", 0.0), 50 * MIB, 1)
    began = time.monotonic()
    with terminal([UPRIVER, "model", "publish", str(large)], plane.operator()) as publishing:
        publishing.read()
        assert publishing.process.wait(20) == 0
        assert "uploading" in publishing.text
        assert "50.0/52.4 MB" in publishing.text or "52.4/52.4 MB" in publishing.text
        assert publishing.text.rstrip().endswith("published")
    print(f"published in {time.monotonic() - began:.1f} s")
    plane.upriver("model", "delete", "pattern/large")
