"""`upriver rollout` and `upriver fleet` as operators call them, against a control plane that runs."""

import json

import pytest
from typer.testing import CliRunner

from tests.control_plane_rollouts import rollout_server
from tests.unit.control_plane.fleet_facts import OLD, active, agent, failed
from upriver.errors import ConfigError, InvalidInput, NotFound, Unreachable
from upriver_control.cli import fleet, rollouts
from upriver_control.observed import Failure

FAST = ["--soak", "0s", "--min-sample", "1"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with rollout_server(tmp_path_factory.mktemp("control")) as running:
        running.add(*(agent(number, active(OLD)) for number in range(12)))
        yield running


@pytest.fixture
def run(server):
    def call(app, *arguments, status=0):
        result = CliRunner().invoke(app, [*arguments, "--control-plane", server.address], catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.output

    return call


def test_a_rollout_is_started_watched_and_listed(run):
    told = run(rollouts.app, "start", "digits/2", "--rings", "1,50%", "-l", "tier=device", *FAST, "--wait")
    assert "completed" in told.splitlines()[-1]
    assert "12 of 12 active" in told.splitlines()[-1]
    (listed,) = json.loads(run(rollouts.app, "list", "--model", "digits", "--limit", "1", "--json"))
    assert listed["state"] == "completed"
    assert [ring["size"] for ring in listed["rings"]] == ["1", "50%", "all"]
    shown = run(rollouts.app, "status", listed["name"])
    assert "completed" in shown
    assert "every ring has moved" in shown
    assert json.loads(run(rollouts.app, "status", listed["name"].partition("/")[2], "--json"))["name"] == listed["name"]


def test_a_rollout_that_goes_back_is_exit_status_1_with_the_reason(run, server):
    def behave(facts, moved):
        bad = moved.active is not None and moved.active.version.endswith("/9")
        return failed(moved.active, Failure.GOLDEN, "row 3") if bad else moved

    server.behaviour = behave
    told = run(rollouts.app, "start", "digits/9", *FAST, "--failure-limit", "0%", "--wait", "--json", status=1)
    last = json.loads(told.splitlines()[-1])
    assert last["state"] == "rolled-back"
    assert "golden: row 3" in last["reason"]
    assert last["rings"][0]["agreement"] is None


def test_people_stop_a_rollout_and_send_it_back(run):
    made = json.loads(run(rollouts.app, "start", "other/3", "--soak", "10m", "--json"))
    assert "paused" in run(rollouts.app, "pause", made["name"])
    resumed = json.loads(run(rollouts.app, "resume", made["name"], "--json"))
    assert resumed["state"] in ("progressing", "soaking")
    assert "cancelled" in run(rollouts.app, "cancel", made["name"])
    assert "rolling-back" in run(rollouts.app, "rollback", made["name"], "--reason", "too slow")
    assert "too slow" in run(rollouts.app, "watch", made["name"], status=1)


def test_the_same_request_id_is_the_same_rollout(run):
    first, again = (
        json.loads(run(rollouts.app, "start", "third/1", "--request-id", "mine", "--json")) for _ in range(2)
    )
    assert first["name"] == again["name"]


def test_the_fleet_is_listed_shown_and_forgotten(run, server):
    server.add(agent(77, active(OLD), connected=False, site="a"))
    listed = json.loads(run(fleet.app, "list", "--selector", "site=a", "--json"))
    assert [one["name"] for one in listed["agents"]] == ["a00077"]
    assert listed["agents"][0]["connected"] is False
    text = run(fleet.app, "list", "--limit", "3")
    assert "a00000" in text
    assert "--limit shows more" in text
    assert "tier" in run(fleet.app, "show", "a00077")
    assert json.loads(run(fleet.app, "show", "a00000", "--json"))["slots"][0]["model"] == "digits"
    assert run(fleet.app, "list", "-l", "site=b") == "no agents match\n"


def test_the_fleet_shows_why_an_agent_differs(run, server):
    server.behaviour = lambda facts, moved: (
        failed(moved.active, Failure.UNFIT, "needs 40 MB, has 16 MB") if facts.agent == "a00003" else moved
    )
    # One ring: were this agent alone in the first one, the rollout would go back.
    run(rollouts.app, "start", "digits/5", *FAST, "--rings", "100%", "--wait")
    listed = json.loads(run(fleet.app, "list", "--out-of-sync", "-l", "agent=a00003", "--json"))
    (slot,) = [slot for slot in listed["agents"][0]["slots"] if slot["difference"]]
    assert (slot["failure"], slot["needs"]) == ("unfit", "needs 40 MB, has 16 MB")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["start", "digits"], ConfigError, "MODEL/VERSION or MODEL@ALIAS"),
        (["start", "digits/2", "--rings", "1,many"], ConfigError, "--rings: 'many'"),
        (["start", "digits/2", "--soak", "soon"], ConfigError, "--soak: 'soon'"),
        (["start", "digits/2", "--failure-limit", "120%"], ConfigError, "--failure-limit: '120%'"),
        (["start", "digits/2", "--threshold", "high"], ConfigError, "--threshold: 'high'"),
        (["start", "digits/2", "--selector", "tier="], InvalidInput, "tier="),
        (["start", "digits/x"], NotFound, "no version"),
        (["status", "nothing"], NotFound, "rollouts/nothing"),
    ],
)
def test_what_is_wrong_is_told(run, arguments, kind, words):
    with pytest.raises(kind) as told:
        run(rollouts.app, *arguments)
    assert words in str(told.value)


def test_a_control_plane_that_is_not_there_is_told():
    result = CliRunner().invoke(rollouts.app, ["list", "--control-plane", "127.0.0.1:1"])
    assert isinstance(result.exception, Unreachable)
    assert "127.0.0.1:1" in str(result.exception)


@pytest.mark.parametrize("app", [rollouts.app, fleet.app], ids=["rollout", "fleet"])
def test_help_explains_every_command(app):
    for command in app.registered_commands:
        result = CliRunner().invoke(app, [command.name, "--help"])
        assert result.exit_code == 0
        assert "--json" in result.output
