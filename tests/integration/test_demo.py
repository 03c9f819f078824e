"""The demo as a newcomer runs it, only shorter."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from demo.digits import DigitsMissing, load_test
from tests.agent_process import REPOSITORY, until
from upriver.binomial import at_most
from upriver.v1 import question_pb2
from upriver_control.cli.connection import Connection

QUESTIONS = question_pb2.DESCRIPTOR.services_by_name["QuestionService"]

KEYS = {
    "questions", "accuracy", "answered_by", "unresolved", "degraded", "failed",
    "local_share", "bytes_up_per_question", "bytes_send_all", "bytes_saved", "audits", "latency_ms", "traces",
    "certificate", "realised", "rollout", "drift",
}  # fmt: skip

ROLLOUT_KEYS = {
    "state", "rings", "failed_requests", "rolled_back", "reason",
    "bytes_from_control_plane", "bytes_from_agents", "delta_ratio",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def digits():
    try:
        return load_test()
    except DigitsMissing as missing:
        if os.environ.get("UPRIVER_REQUIRE_REAL") == "1":
            raise
        pytest.skip(str(missing))


def demo(*arguments):
    command = [sys.executable, "-m", "demo.run", "--once", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=REPOSITORY, check=False)


def check(summary):
    """That 1,000 digits were answered as certified, with every trace complete."""
    assert set(summary) == KEYS
    assert (summary["questions"], summary["failed"], summary["degraded"]) == (1000, 0, 0)
    certificate, realised = summary["certificate"], summary["realised"]
    assert (certificate["max_loss"], certificate["confidence"], certificate["questions"]) == (0.005, 0.95, 5000)
    assert certificate["losses"] <= 16  # of 5,000: more would not prove 0.5 % at 95 %
    assert certificate["local_share"] >= 0.94
    assert realised["loss"] <= 0.01
    assert realised["accuracy_lost"] <= realised["loss"]
    assert summary["local_share"] >= 0.94
    assert set(certificate["policies"]) >= {"device", "far-edge"}
    assert summary["traces"]["complete"] == summary["traces"]["sampled"] > 100
    assert 0 < summary["bytes_up_per_question"] < summary["bytes_send_all"] / 5
    assert summary["rollout"] is None
    assert summary["drift"] is None


def test_when_the_digits_turn_and_get_noisy_the_alarm_rings_and_the_loss_comes_back(tmp_path):
    done = demo("--questions", "2000", "--drift", "--json", str(tmp_path / "demo.json"))
    assert done.returncode == 0, done.stdout + done.stderr  # which it is not without an alarm, or above the target
    summary = json.loads((tmp_path / "demo.json").read_text())
    drift = summary["drift"]
    before, until, after = drift["phases"]
    assert (before["name"], until["name"], after["name"]) == ("before", "drift until alarm", "after alarm")
    assert before["loss"] <= 0.015
    assert until["loss"] > 0.02
    assert after["loss"] <= 0.005
    assert after["questions"] >= 1000
    assert "device-1" in {alarm["agent"] for alarm in drift["alarms"]}
    assert drift["returned"]
    assert "rang the alarm" in done.stdout


@pytest.mark.real_consul
def test_an_agent_killed_in_the_middle_fails_nothing_where_a_real_consul_tells_who_is_there(tmp_path):
    done = demo("--questions", "3000", "--consul", "--kill", "near-edge@0.5s", "--json", str(tmp_path / "demo.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "demo.json").read_text())
    assert summary["failed"] == 0
    assert "near-edge-1 was killed" in done.stdout
    assert "found through Consul" in done.stdout


def test_a_better_model_reaches_three_devices_in_rings_while_they_are_asked(tmp_path):
    done = demo("--questions", "2000", "--rollout", "--json", str(tmp_path / "demo.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "demo.json").read_text())
    assert set(summary) == KEYS
    rollout, accuracy = summary["rollout"], summary["accuracy"]
    assert set(rollout) == ROLLOUT_KEYS
    assert (rollout["state"], rollout["rolled_back"], rollout["failed_requests"]) == ("completed", False, 0)
    assert rollout["rings"] == [{"agents": 1, "active": 1, "failed": 0, "offline": 0}] * 3
    # The control plane sends everything once; then it goes from agent to agent, over three tiers to three devices.
    assert rollout["bytes_from_agents"] == 5 * rollout["bytes_from_control_plane"] > 0
    assert 0.3 < rollout["delta_ratio"] < 0.7
    assert accuracy["device-better"] > accuracy["device"]
    assert (summary["failed"], summary["degraded"]) == (0, 0)
    for device in ("device-1", "device-2", "device-3"):
        assert f"{device} answers with device-14px-better" in done.stdout


def test_a_worse_model_is_rolled_back_by_what_devices_report_and_hardly_harms(tmp_path):
    done = demo("--questions", "2000", "--bad-rollout", "--json", str(tmp_path / "demo.json"))
    assert done.returncode == 0, done.stdout + done.stderr  # also that every device runs the old version again
    summary = json.loads((tmp_path / "demo.json").read_text())
    rollout, accuracy = summary["rollout"], summary["accuracy"]
    assert (rollout["state"], rollout["rolled_back"], rollout["failed_requests"]) == ("rolled-back", True, 0)
    assert "escalate" in rollout["reason"] or "agree" in rollout["reason"]
    assert accuracy["device-worse"] < accuracy["device"] - 0.01
    assert accuracy["cascade"] >= accuracy["cloud"] - 0.01
    assert "rolled back" in done.stdout


def test_two_regions_learn_what_they_ask_about_and_every_head_that_answers_is_proven(tmp_path):
    done = demo("--learn", "--no-retrain", "--questions", "2000", "--json", str(tmp_path / "demo.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "demo.json").read_text())
    assert set(summary["regions"]) == {"west", "east"}
    assert summary["retrained"] is None
    promoted = []
    for region in summary["regions"].values():
        assert (region["questions"], region["failed"], region["certified"]) == (2000, 0, 0.015)
        assert region["lessons"] > 300
        assert 0.2 < region["escalation_start"] < 0.95
        assert region["accuracy_known_second_half"] > 0.97
        assert region["points"][-1]["questions"] == 2000
        promoted += region["promotions"]
    for one in promoted:
        assert at_most(one["losses"], one["questions"], one["epsilon"]) <= one["delta"] < 0.05
    assert promoted or any("certified at attempt" in told for told in summary["merged"]), done.stdout


def test_it_answers_as_certified_and_stays_up_for_playing_until_ctrl_c_ends_every_process(tmp_path):
    out, record = tmp_path / "out", tmp_path / "demo.json"
    with out.open("wb") as stdout:
        command = [sys.executable, "-u", "-m", "demo.run", "--questions", "1000", "--json", str(record)]
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.STDOUT, cwd=REPOSITORY)
    try:
        until(lambda: "Ctrl-C ends them" in out.read_text(), 200, "the demo to stay up")
        check(json.loads(record.read_text()))
        assert "certified in" in out.read_text()
        folder = next(line.split(" log ")[1] for line in out.read_text().splitlines() if " log " in line)
        folder = folder.rpartition("/")[0]

        def children():
            found = subprocess.run(["pgrep", "-f", folder], capture_output=True, text=True, check=False)
            return found.stdout.split()

        assert len(children()) == 5  # four agents and the control plane
        command = next(line for line in out.read_text().splitlines() if "upriver fleet list" in line)
        listed = subprocess.run(
            [str(Path(sys.executable).with_name("upriver")), *command.split()[1:]],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert "device-14px" in listed.stdout
        link = next(line.strip() for line in out.read_text().splitlines() if "/login?token=" in line)
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=30) as browser:
            page = browser.get(link.replace("next=/", "next=/about"))
        assert (page.status_code, page.url.path) == (200, "/about")
        control, token = command.split()[-3], command.split()[-1]
        with Connection(control, Path(token)) as operator:
            first = newest(operator)
            until(lambda: newest(operator) != first, what="a question that is asked while it stays up")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert children() == []
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def newest(operator):
    """The trace of the newest question that the control plane was told of."""
    return operator.call(QUESTIONS, "GetTrace", question_pb2.GetTraceRequest(trace="last")).question.trace


@pytest.mark.parametrize(
    "wrong",
    [
        ["--questions", "0"],
        ["--no-retrain"],
        ["--kill", "moon@3s"],
        ["--hop-delay", "1"],
        ["--once", "--kill", "device@1s"],
        ["--rate", "1000"],
        ["--open"],
    ],
)
def test_wrong_options_say_what_is_expected(wrong):
    done = demo(*wrong)
    assert done.returncode == 2
    assert "expected" in done.stderr
