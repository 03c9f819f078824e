"""kill -9 at any moment: the repository stays consistent, and so does what an agent keeps."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.agent_process import REPOSITORY
from tests.control_plane_trust import NAME, ControlPlane, agent

KILLS = 50
# Imports once, then forks a worker for every line that it reads and tells its pid: a kill costs no start of Python.
LAUNCHER = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.control_plane_trust import NAME, ControlPlane, agent
from upriver_agent.trust import updating
folder, work = Path(sys.argv[1]), sys.argv[2]
for line in sys.stdin:
    start = int(line)
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("ended", flush=True)
        continue
    control = ControlPlane(folder / "control")
    trust = agent(control, folder / "agent")
    for number in range(start, start + 10_000):
        digest = control.publish(f"v{number}")
        if work == "agent":
            trust.version(NAME.format(f"v{number}"), digest)
"""


class Launcher:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def kill_one(self, start: int, after_s: float) -> None:
        """Starts a worker and kills it after some time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{start}\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        # Waiting is the point here: the moment of the kill is what varies.
        with pytest.raises(subprocess.TimeoutExpired):
            self.process.wait(after_s)
        os.kill(pid, signal.SIGKILL)
        assert self.process.stdout.readline() == "ended\n"


@contextmanager
def launched(folder: Path, work: str) -> Iterator[Launcher]:
    arguments = [sys.executable, "-c", LAUNCHER, str(folder), work, str(REPOSITORY)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    try:
        yield Launcher(process)
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def check_references(control: ControlPlane) -> None:
    """Everything that the timestamp refers to is there."""
    snapshot = json.loads((control.metadata / "timestamp.json").read_bytes())["signed"]["meta"]["snapshot.json"]
    held = json.loads((control.metadata / f"{snapshot['version']}.snapshot.json").read_bytes())["signed"]["meta"]
    for name, meta in held.items():
        assert (control.metadata / f"{meta['version']}.{name}").exists()


@pytest.mark.parametrize("work", ["publisher", "agent"])
def test_killed_at_fifty_points_it_goes_on(tmp_path, work) -> None:
    control = ControlPlane(tmp_path / "control")
    random = Random(20)  # noqa: S311 - moments to be killed at
    newest = 0
    with launched(tmp_path, work) as launcher:
        for kill in range(KILLS):
            launcher.kill_one(kill * 10_000, random.uniform(0.0, 0.05))
            check_references(control)
            digest = control.publish(f"after-{kill}")
            agent(control, tmp_path / "agent").version(NAME.format(f"after-{kill}"), digest)
            timestamp = json.loads((tmp_path / "agent/metadata/timestamp.json").read_bytes())["signed"]["version"]
            assert timestamp > newest, "nothing that was in force is lost"
            newest = timestamp
    leftovers = [path for path in (tmp_path / "agent/metadata").iterdir() if path.name.startswith("tmp")]
    assert not leftovers, "what a kill left half written is cleared away"


def test_two_publishers_at_once_lose_nothing(tmp_path) -> None:
    control = ControlPlane(tmp_path / "control")
    program = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.control_plane_trust import ControlPlane
control = ControlPlane(Path(sys.argv[1]))
for number in range(40):
    control.publish(f"{sys.argv[2]}{number}")
"""
    arguments = [sys.executable, "-c", program, str(control.folder)]
    workers = [subprocess.Popen([*arguments, name, str(REPOSITORY)], cwd=REPOSITORY) for name in ("a", "b")]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    again = {name: control.publish(name) for name in (f"{who}{number}" for who in "ab" for number in range(40))}
    trust = agent(control, tmp_path / "agent")
    for name, digest in again.items():
        trust.version(NAME.format(name), digest)


def test_files_that_were_superseded_long_ago_are_gone_and_the_others_stay(tmp_path) -> None:
    control = ControlPlane(tmp_path / "control")
    for number in range(60):
        control.publish(f"v{number}")
    snapshots = sorted(int(path.name.split(".")[0]) for path in control.metadata.glob("*.snapshot.json"))
    assert snapshots == list(range(snapshots[-1] - 31, snapshots[-1] + 1))
    check_references(control)
