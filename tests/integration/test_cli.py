"""The `upriver` command as people run it: a process, its output and its exit status."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.agent_process import TRUSTING, running, until, write_config
from tests.consul_process import real_consul
from tests.versions import LABELS, make_version

RNG = np.random.default_rng(31)
PROGRAM = "from upriver.cli.main import main; main()"


def upriver(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"COLUMNS": "160", "TERM": "dumb"} | environment,
    )


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    model = make_version(folder, "1", 0.0)
    with running(write_config(folder, "alone", "device", ["device"], [model], TRUSTING), "alone") as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "one.npy", RNG.random((14, 14, 1), dtype=np.float32))
    np.save(folder / "three.npy", RNG.random((3, 14, 14, 1), dtype=np.float32))
    (folder / "odd.png").write_bytes(b"no image")
    return folder


def one_line(text):
    return len(text.strip().splitlines()) == 1 and "Traceback" not in text


def test_an_answer_is_printed_with_who_gave_it_and_why(agent, files):
    done = upriver("infer", "pattern", files / "one.npy", "--agent", agent.address)
    assert (done.returncode, done.stderr) == (0, "")
    heading, row = done.stdout.strip().splitlines()
    assert heading.split() == ["file", "answer", "confidence", "resolved", "tier", "path", "reason", "ms"]
    assert any(label in row for label in LABELS)
    assert "yes" in row
    assert "confident" in row
    assert "alone" in row


def test_json_has_every_fact_and_a_bad_file_does_not_stop_the_others(agent, files):
    paths = [files / "one.npy", files / "missing.png", files / "odd.png", files / "three.npy"]
    done = upriver("infer", "pattern", *paths, "--agent", agent.address, "--json")
    assert done.returncode == 1
    one, missing, odd, *rows = json.loads(done.stdout)
    assert one["file"] == str(paths[0])
    assert one["label"] in LABELS
    assert (one["resolved"], one["tier"], one["path"], one["reason"]) == (True, "device", ["alone"], "confident")
    assert one["top"][0] == {"label": one["label"], "probability": pytest.approx(one["confidence"])}
    assert missing["error"]["reason"] == odd["error"]["reason"] == "INVALID_INPUT"
    assert "missing.png" in missing["error"]["message"]
    assert [entry["row"] for entry in rows] == [0, 1, 2]


def test_errors_of_files_are_told_beside_the_table(agent, files):
    done = upriver("infer", "pattern", files / "one.npy", files / "missing.npy", "-a", agent.address)
    assert done.returncode == 1
    assert "one.npy" in done.stdout
    assert one_line(done.stderr)
    assert "missing.npy: can't be read" in done.stderr


def test_what_is_asked_of_the_cascade_arrives(agent, files):
    options = ["--mode", "local", "--min-confidence", "1.5", "--timeout", "20", "--json", "-a", agent.address]
    (answer,) = json.loads(upriver("infer", "pattern", files / "one.npy", *options).stdout)
    assert (answer["resolved"], answer["reason"]) == (False, "mode")


def test_the_next_agent_is_asked_when_the_first_is_gone(agent, files):
    done = upriver("infer", "pattern", files / "one.npy", "-a", "127.0.0.1:1", "-a", agent.address)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["infer", "unknown", "x.png", "-a", "ADDRESS"], 1, "unknown model 'unknown'; this agent serves: pattern"),
        (["infer", "pattern", "x.png", "-a", "127.0.0.1:1"], 1, "can't be reached"),
        (["infer", "pattern", "x.png", "-a", "nowhere"], 2, "expected host:port"),
        (["infer", "pattern", "x.png", "--ca", "absent.pem"], 2, "absent.pem"),
        (["agents", "--consul", "http://127.0.0.1:1"], 1, "Consul at http://127.0.0.1:1"),
        (["agents", "--consul", "http://127.0.0.1:1", "-a", "127.0.0.1:1"], 2, "exclude each other"),
    ],
)
def test_failures_are_one_line_and_a_status(agent, arguments, status, told):
    done = upriver(*[agent.address if argument == "ADDRESS" else argument for argument in arguments])
    assert (done.returncode, done.stdout) == (status, "")
    assert one_line(done.stderr)
    assert told in done.stderr


@pytest.mark.parametrize("arguments", [["infer"], ["infer", "pattern"], ["bogus"], ["infer", "m", "f", "--mode", "up"]])
def test_usage_errors_have_status_two(arguments):
    done = upriver(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["infer"], ["agents"], ["agent"], ["agent", "run"], ["model"], ["lineage"]])
def test_help_teaches(command):
    done = upriver(*command, "--help")
    assert done.returncode == 0
    assert "Usage: upriver" in done.stdout
    if command in ([], ["infer"], ["agents"]):
        assert any(line.strip().startswith("upriver ") for line in done.stdout.splitlines())
    if command == ["lineage"]:
        assert "lineage lineage" not in done.stdout  # a command that is called as its group is that command


def test_the_version_is_printed():
    assert upriver("--version").stdout.startswith("upriver 0.")


def test_agents_are_asked_what_they_serve(agent):
    done = upriver("agents", "-a", agent.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[1].split() == [agent.address, "yes", "pattern", "1"]
    done = upriver("agents", "-a", agent.address, "-a", "127.0.0.1:1", "--json")
    assert done.returncode == 1
    here, gone = json.loads(done.stdout)
    assert here["models"] == [{"model": "pattern", "version": "1", "ready": True, "problem": ""}]
    assert gone["error"]["reason"] == "UNREACHABLE"


def without(*packages):
    """A program that runs the command line as if packages were not installed."""
    return (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {packages!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name.partition('.')[0])\n"
        "sys.meta_path.insert(0, Absent())\n" + PROGRAM
    )


@pytest.mark.parametrize(
    ("absent", "arguments", "told"),
    [
        ("typer", ["--help"], "pip install 'upriver[cli]'"),
        ("rich", ["--help"], "pip install 'upriver[cli]'"),
        ("upriver_agent", ["model", "inspect", "x.tflite"], "pip install 'upriver[agent]'"),
        ("grpc_health", ["agent", "run"], "pip install 'upriver[agent]'"),
        ("httpx", ["agents"], "pip install 'upriver[cli]'"),
        ("upriver_control", ["fleet", "list"], "pip install 'upriver-control'"),
        ("upriver_control", ["model", "publish", "x"], "pip install 'upriver-control'"),
    ],
)
def test_a_missing_package_is_told_with_the_extra_that_brings_it(absent, arguments, told):
    done = subprocess.run(
        [sys.executable, "-c", without(absent), *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"UPRIVER_AGENT_TIER": "device"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert one_line(done.stderr)
    assert told in done.stderr


def test_an_operators_machine_says_what_running_a_control_plane_needs(tmp_path):
    program = without("grpc_health").removesuffix(PROGRAM) + "from upriver_control.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "run"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "upriver-control: grpc_health is not installed; it needs: pip install 'upriver[control-plane]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_help_works_when_a_group_is_not_available():
    command = [sys.executable, "-c", without("upriver_agent"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "upriver[agent]" in done.stdout


@pytest.mark.real_consul
def test_agents_are_listed_from_a_real_consul(tmp_path):
    with real_consul(tmp_path) as consul:
        nobody = upriver("agents", "--consul", consul.address)
        assert (nobody.returncode, nobody.stderr) == (0, "")
        assert "no healthy agents" in nobody.stdout
        more = f'{TRUSTING}[discovery]\nkind = "consul"\n[discovery.consul]\naddress = "{consul.address}"\n'
        model = make_version(tmp_path, "1", 0.0)
        config = write_config(tmp_path, "near-1", "near-edge", ["near-edge"], [model], more)
        with running(config, "near-1") as near:

            def listed():
                return json.loads(upriver("agents", "--consul", consul.address, "--json").stdout)

            (found,) = until(listed, what="the agent to be registered")
            assert (found["agent"], found["tier"], found["address"]) == ("near-1", "near-edge", near.address)
            assert found["models"]["pattern"]["version"] == "1"
            table = upriver("agents", "--consul", consul.address).stdout
            assert table.split("\n")[0].split() == ["agent", "tier", "region", "address", "load", "models"]
            assert table.split("\n")[1].split()[:2] == ["near-1", "near-edge"]
