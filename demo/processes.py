"""The demo's processes: started with a log each, waited for, ended by pid."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

START_S = 60.0
END_S = 10.0


class DemoFailed(Exception):
    """The demo can't go on; the message is for the person who started it."""


class Program:
    """A process of a Python module that writes a file of facts when it is ready."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        """`arguments` are the interpreter's; log and ready file are kept in `folder` under the name."""
        self.name = name
        self.log = folder / f"{name}.log"
        self._ready = folder / f"{name}.ready"
        environ = {key: value for key, value in os.environ.items() if not key.startswith("UPRIVER_")}
        with self.log.open("wb") as out:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends its processes in order.
            self.process = subprocess.Popen(  # noqa: S603 - our own programs and arguments
                [sys.executable, *arguments, "--ready-file", str(self._ready)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
            )

    def wait_ready(self) -> Mapping[str, Any]:
        """Waits until it is ready, and gives its facts; raises DemoFailed with its log."""
        deadline = time.monotonic() + START_S
        while not self._ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"{self.name} did not start; its log:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        facts: Mapping[str, Any] = json.loads(self._ready.read_text())
        return facts

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()


def end(programs: Iterable[Program]) -> None:
    """Asks all to end, waits, and kills what has not ended within END_S."""
    running = [program.process for program in programs if program.process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + END_S
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
