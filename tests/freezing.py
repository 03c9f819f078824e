"""Has processes stand still."""

import os
import signal
import time
from pathlib import Path


def freeze(pid: int, timeout_s: float = 60.0) -> None:
    """Stops a process and waits until all its threads stand still: on a busy machine they go on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + timeout_s
    while not all(_state(task) in "Tt" for task in Path(f"/proc/{pid}/task").iterdir()):
        if time.monotonic() > deadline:
            raise AssertionError(f"process {pid} did not stop within {timeout_s} s")
        time.sleep(0.001)


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "T"  # it has ended since it was listed, and stands stiller than any
