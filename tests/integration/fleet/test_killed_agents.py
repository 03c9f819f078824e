"""kill -9 of a whole agent at random points of its life: whatever it was at, it comes back with something whole."""

import json
import subprocess
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np

from tests.agent_process import AgentProcess, spawn, until
from tests.asking import ask, version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import bytes_on_disk, publish, roll_out
from tests.versions import MIB
from upriver.listing import digest
from upriver_agent.installing import record
from upriver_agent.policy import make_policy
from upriver_agent.slot import State
from upriver_agent.versions import open_version

KILLS = 50
EARLIEST_S, LATEST_S = 0.4, 2.2
"""Kills come so long after the process's start. It serves after about 0.8 s; a version takes some 2 s from there."""
ASIDE = {".slots.json.new", ".discovery.json.new", ".refined.json.new"}
"""Written and renamed: a kill between leaves one at most."""
JOURNALS = {f"{name}.db{part}" for name in ("audits", "lessons", "spans", "tickets") for part in ("", "-wal", "-shm")}
AIMED_AT = (State.STAGED, State.VERIFIED, State.ACTIVE)
"""Every fifth kill comes as soon as the record says so: these states last for milliseconds."""
VERSIONS, SIZE, DISK = 6, 4 * MIB, 16 * MIB
SETTINGS = f"""
[blobs]
disk_mib = {DISK // MIB}
fetch_mib_s = 2
"""


@contextmanager
def ended_soon(agent: AgentProcess, after_s: float, when):
    """The agent, started anew and killed after some time, or as soon as it serves and `when` gives true.

    None when it was killed before it served.
    """
    began = time.monotonic()
    ready = agent.config.with_suffix(".ready")
    process = spawn(agent.config)
    try:
        while not ready.exists() and time.monotonic() - began < after_s:
            assert process.poll() is None, agent.log.read_text()[-4000:]
            wait(process, 0.01)
        if ready.exists():
            yield AgentProcess(agent.name, json.loads(ready.read_text())["address"], process, agent.log, agent.config)
            while time.monotonic() - began < after_s and not when():
                wait(process, 0.002)
        else:
            yield None
        assert process.poll() is None, agent.log.read_text()[-4000:]
    finally:
        process.kill()
        process.wait(30)


def wait(process, timeout_s):
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return


def test_after_kill_9_at_50_points_an_agent_answers_with_a_whole_pair_and_gets_the_newest(tmp_path):
    chance = np.random.default_rng(11)
    with control_plane(tmp_path / "control") as plane, plane.stubs() as operator:
        # Every other one is the one before with another head: it travels as a delta.
        folders = {
            f"v{number}": publish(
                plane, tmp_path, f"v{number}", SIZE + number, seed=number // 2, threshold=number / 100
            )
            for number in range(VERSIONS)
        }
        opened = {name: open_version(folder, tmp_path / "own") for name, folder in folders.items()}
        policies = {
            name: make_policy(version.manifest.policy_document(version.digest)).digest
            for name, version in opened.items()
        }
        state = tmp_path / "dev-1"
        with following(tmp_path, plane, "dev-1", more=SETTINGS) as agent:
            roll_out(operator, "v0")
            until(lambda: version_of(agent) == "v0", 30, "the first version")
            # It answers a moment before that is on disk: a kill in between would leave nothing to go on with.
            until(lambda: active_of(state) == opened["v0"].digest, 30, "its record")
        assigned, answered, points = ["v0"], {"v0"}, Counter()
        for number in range(KILLS):
            if active_of(state) == opened[assigned[-1]].digest:
                assigned.append(f"v{len(assigned) % VERSIONS}")
                roll_out(operator, assigned[-1])
            after_s, aim = chance.uniform(EARLIEST_S, LATEST_S), None
            if number % 5 == 0:
                after_s, aim = 2 * LATEST_S, AIMED_AT[number // 5 % len(AIMED_AT)]
            with ended_soon(agent, after_s, lambda aim=aim: aim is not None and under_way(state) is aim) as again:
                if again is not None:
                    told = ask(again)
                    # On a busy machine no start lives long enough to get on, and then an older pair is gone back to.
                    recent = assigned if "is not used: the agent ended" in agent.log.read_text() else assigned[-3:]
                    assert told.model_version in recent, (told.model_version, assigned)
                    assert told.parameters["upriver.policy"].string_param == policies[told.model_version]
                    answered.add(told.model_version)
                    # One note for every version that was tried and has passed: none answers without.
                    assert len(list((state / "verified").glob("*.json"))) >= len(answered)
            kept = record.load(state / "slots.json").slots["pattern"]
            points[kept.state if again is not None else "starting"] += 1
            assert bytes_on_disk(state) < DISK + 4 * MIB
            assert "Traceback" not in agent.log.read_text(), agent.log.read_text()[-4000:]
        print(f"{len(assigned)} versions assigned; killed at {dict(points)}")
        assert len(assigned) > VERSIONS / 2, assigned
        # Where else the kills fell depends on the machine: all of it is printed.
        assert {State.STAGING, State.ACTIVE} <= points.keys(), points
        with following(tmp_path, plane, "dev-1", more=SETTINGS) as agent:
            newest = opened[assigned[-1]]
            until(lambda: version_of(agent) == assigned[-1], 30, "the newest version")
            until(lambda: active_of(state) == newest.digest, 10, "its record")
            until(lambda: left(state / "versions") == kept_by(state), 10, "only what is needed")
            own = {"versions", "blobs", "trust", "verified", "slots.json", "discovery.json", "refined.json"}
            assert left(state) <= own | ASIDE | JOURNALS
            assert len(left(state / "verified")) <= 2 * VERSIONS
            assert digest(newest.model_path.read_bytes()).removeprefix("sha256:") in left(state / "blobs")


def under_way(state):
    return record.load(state / "slots.json").slots["pattern"].state


def active_of(state):
    kept = record.load(state / "slots.json").slots["pattern"]
    return kept.active.digest if kept.active else ""


def kept_by(state):
    pairs = record.load(state / "slots.json").slots["pattern"].keeps()
    return {pair.digest.removeprefix("sha256:") for pair in pairs}


def left(folder):
    return {path.name for path in folder.iterdir()} - {".lock"}
