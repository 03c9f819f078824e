"""Runs a program that works on a job, in a process group of its own: it ends with us, as its standard input does.

Standard output gets one JSON object a line: `doing` and `progress`, and a last one with `made`, or `failed` and why.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_MAX_LINE: Final = 1 << 16
_SHOWN: Final = 500
_READ: Final = 1 << 14
_LAST_WORDS_S: Final = 2.0


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
    try:
        async with asyncio.timeout(program.timeout_s):
            last = await _listen(process, told)
            code = await process.wait()
    except TimeoutError as error:
        raise ChildFailed(f"it took more than {program.timeout_s:g} s") from error
    finally:
        await _end(process)
        await asyncio.wait({complaining}, timeout=_LAST_WORDS_S)  # who writes has ended, if not what it left behind
        complaining.cancel()
    if "failed" in last:
        raise ChildFailed(str(last["failed"]))
    if code or "made" not in last:
        raise ChildFailed(f"its process ended with exit status {code}: {complaints.last}")


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


async def _listen(process: asyncio.subprocess.Process, told: Callable[[str, float], None]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    assert process.stdout is not None  # noqa: S101 - it was asked for
    async for line in process.stdout:
        last = json.loads(line)
        if "doing" in last:
            told(str(last["doing"]), float(last["progress"]))
    return last


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the process with its children; it was started by us, and its id is its own until it was waited for."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
