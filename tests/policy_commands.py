"""`upriver policy` for the tests, in this process and as a process in a terminal."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.control_plane_process import ControlPlaneProcess
from upriver.errors import UpriverError
from upriver_control.certifying import WORK
from upriver_control.cli.policies import app

PROGRAM = "from upriver_control.cli.policies import app; app()"


def command(*arguments: str) -> list[str]:
    """The same as a process."""
    return [sys.executable, "-c", PROGRAM, *arguments]


def policy(plane: ControlPlaneProcess, *arguments: str, status: int = 0) -> str:
    """Runs a command in this process and gives what it printed; raises the errors that the command line tells."""
    result = CliRunner().invoke(app, list(arguments), env=plane.operator(), catch_exceptions=True)
    if isinstance(result.exception, UpriverError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def policy_json(plane: ControlPlaneProcess, *arguments: str) -> Any:
    """The same with --json."""
    return json.loads(policy(plane, *arguments, "--json"))


@contextmanager
def standing_still(plane: ControlPlaneProcess) -> Iterator[Callable[[], None]]:
    """Has the next process that works on a calibration stand still from its beginning, until a function is called.

    However fast a machine is, a calibration is then under way for as long as a test needs it to be.
    """
    stopped: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not stopped and not over.wait(0.005):
            for pid in _workers(plane):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)

    def go_on() -> None:
        over.set()
        watching.join(60)
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    known = set(_workers(plane))
    assert not known, "no calibration may be under way"
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield go_on
    finally:
        go_on()


def _workers(plane: ControlPlaneProcess) -> list[int]:
    """The processes that a control plane has work on calibrations."""
    assert plane.process is not None
    found = []
    for task in Path(f"/proc/{plane.process.pid}/task").glob("*/children"):
        for pid in task.read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                if WORK.module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(int(pid))
    return found
