"""What the tests of faults on agents have in common: versions of some size, what the fleet tells, disks to fill."""

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.control_plane_process import ControlPlaneProcess, Operator
from tests.versions import make_version, pad
from upriver.v1 import rollout_pb2
from upriver_agent.installing import record

ALWAYS = 0.0
"""A threshold that every answer reaches."""


def publish(
    plane: ControlPlaneProcess,
    folder: Path,
    version: str,
    size_bytes: int = 0,
    seed: int = 0,
    threshold: float = ALWAYS,
) -> Path:
    """Publishes a version of the model `pattern` with so many bytes more than it needs."""
    made = pad(make_version(folder, version, threshold), size_bytes, seed)
    plane.upriver("model", "publish", str(made))
    return made


def roll_out(operator: Operator, version: str, selector: str = "", failure_limit: float = 1.0) -> str:
    """Starts a rollout to all at once that no failing agent ends; gives its name."""
    strategy = rollout_pb2.Strategy(
        rings=[rollout_pb2.Ring(percent=100)],
        soak_time=Duration(),
        failure_limit=failure_limit,
        min_sample=1,
        progress_deadline=Duration(seconds=600),
    )
    return operator.start(f"models/pattern/versions/{version}", selector, strategy).name


def shown(plane: ControlPlaneProcess, agent: str) -> dict[str, Any]:
    """What `upriver fleet show` tells of the slot of `pattern`."""
    told = json.loads(plane.upriver("fleet", "show", agent, "--json"))
    return {} if not told["slots"] else told["slots"][0]


def refusal(plane: ControlPlaneProcess, agent: str, failure: str) -> str:
    """Why an agent is not as desired, once it reports this failure; else empty."""
    slot = shown(plane, agent)
    return slot["difference"] + slot["needs"] if slot and slot["failure"] == failure else ""


def recorded(state: Path) -> str:
    """The version that an agent would start again with, from its state folder; empty for none.

    It is written a moment after the version has begun to answer.
    """
    slot = record.load(state / "slots.json").slots.get("pattern")
    return slot.active.version.rpartition("/")[2] if slot is not None and slot.active is not None else ""


def bytes_on_disk(folder: Path) -> int:
    """The bytes of all files below a folder, those with several names once."""
    sizes: dict[int, int] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                facts = Path(root, name).lstat()
            except FileNotFoundError:
                continue
            sizes[facts.st_ino] = facts.st_size
    return sum(sizes.values())


class SmallDisk:
    """A file system of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, but_bytes: int) -> None:
        """Takes all room except some."""
        self.free()
        facts = os.statvfs(self.folder)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, facts.f_bavail * facts.f_bsize - but_bytes)

    def free(self) -> None:
        """Gives the room back."""
        self._ballast.unlink(missing_ok=True)

    def read_only(self, read_only: bool) -> None:
        """Takes writing away, or gives it back. Raises OSError while a file is open for writing."""
        done = subprocess.run(
            ["mount", "-o", f"remount,{'ro' if read_only else 'rw'}", self.folder], capture_output=True, text=True
        )
        if done.returncode:
            raise OSError(done.stderr)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mounts a small disk there, and unmounts it; the test is skipped where nothing may be mounted."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "upriver-test", folder], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def limit_files(pid: int, size_bytes: int) -> None:
    """No file that a process writes grows beyond this; a disk that is full for everybody, whoever runs the test."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))
