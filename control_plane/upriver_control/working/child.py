"""Runs a program that works on a job, in a process group of its own: it ends with us, as its standard input does.

Standard output gets one JSON object a line: `doing` and `progress`, and a last one with `made`, or `failed` and why.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from upriver_control.working.folders import runs

_MAX_LINE: Final = 1 << 16
_SHOWN: Final = 500
_READ: Final = 1 << 14
_LAST_WORDS_S: Final = 2.0
_LOOK_S: Final = 0.05


class ChildFailed(Exception):
    """It came to nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """A module that is run with the path of its order. `preparing` and `finishing` say what is done before and after.

    What it prints to standard error is kept as the job's log where `logs` says so. Without a `timeout_s` it may take
    for ever.
    """

    module: str
    preparing: str
    finishing: str
    python: str = sys.executable
    logs: bool = False
    timeout_s: float | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


async def run_child(
    program: Program, order: Path, told: Callable[[str, float], None], printed: Callable[[str], None]
) -> None:
    """Runs it to its end; raises ChildFailed with what it says, or what it printed last."""
    try:
        process = await asyncio.create_subprocess_exec(
            program.python, "-P", "-m", program.module, str(order),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True, limit=_MAX_LINE, env={**os.environ, **program.environ},
        )  # fmt: skip
    except OSError as error:
        raise ChildFailed(f"can't run {program.python}: {error.strerror or error}") from error
    complaints = _Complaints(printed if program.logs else None)
    complaining = asyncio.create_task(complaints.read(process))
    last: dict[str, Any] = {}
    listening = asyncio.create_task(_listen(process, told, last))
    try:
        async with asyncio.timeout(program.timeout_s):
            await _exited(process, listening)
    except TimeoutError as error:
        raise ChildFailed(f"it took more than {program.timeout_s:g} s") from error
    finally:
        await _end(process)
        reading = {listening, complaining, asyncio.create_task(process.wait())}
        ended, going_on = await asyncio.wait(reading, timeout=_LAST_WORDS_S)
        for task in going_on:
            task.cancel()
    if listening in ended:
        listening.result()
    if "failed" in last:
        raise ChildFailed(str(last["failed"]))
    if process.returncode or "made" not in last:
        raise ChildFailed(f"its process ended with exit status {process.returncode}: {complaints.last}")


class _Complaints:
    """What a process prints to standard error: nothing of it is kept but the last line, and what is handed on."""

    def __init__(self, printed: Callable[[str], None] | None) -> None:
        self._printed = printed
        self._rest = b""
        self.last = ""

    async def read(self, process: asyncio.subprocess.Process) -> None:
        """Reads until there is nothing more."""
        assert process.stderr is not None  # noqa: S101 - it was asked for
        while data := await process.stderr.read(_READ):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            self._rest = self._rest[-_READ:]
        self._take(self._rest)

    def _take(self, line: bytes) -> None:
        text = line[-_READ:].decode("utf-8", "replace").rpartition("\r")[2].rstrip()
        if text:
            self.last = text[:_SHOWN]
            if self._printed is not None:
                self._printed(text)


async def _listen(
    process: asyncio.subprocess.Process, told: Callable[[str, float], None], last: dict[str, Any]
) -> None:
    """Reads what it answers; `last` becomes the last of it."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    async for line in process.stdout:
        found = json.loads(line)
        last.clear()
        last.update(found)
        if "doing" in last:
            told(str(last["doing"]), float(last["progress"]))


async def _exited(process: asyncio.subprocess.Process, listening: "asyncio.Task[None] | None" = None) -> None:
    """Waits for the process alone, or until it says what is no answer.

    Its own `wait` is one for its streams as well, and whatever it has started may hold them open.
    """
    while process.returncode is None:
        if listening is not None and listening.done() and listening.exception() is not None:
            return
        await asyncio.sleep(_LOOK_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the process with its children, and those that it left behind when it ended by itself.

    It was started by us. Its id is its own until it was waited for, and its group's as long as anybody is in it: where
    a process has it then, that is another one, and the group was empty.
    """
    if process.returncode is None or not runs(process.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    await _exited(process)
