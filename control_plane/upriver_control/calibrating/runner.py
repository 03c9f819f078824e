"""Works on calibrations, a few at a time: each in a process group of its own, held by a lease in the database.

A process of the control plane that ends takes its children with it, and gives back what it was working on; one that is
killed loses its lease, and the calibration is begun anew by whoever is there.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from upriver.errors import DiskTrouble, Unreachable, UpriverError
from upriver_control.jobs import Job, JobState, Result, failed, succeeded
from upriver_control.store.policies import StoredPolicy

WORK: Final = "upriver_control.calibrating.work"
ATTEMPTS: Final = 3
_LOG: Final = logging.getLogger(__name__)
_MAX_LINE: Final = 1 << 16
_SHOWN: Final = 500


class Jobs(Protocol):
    """Where calibrations are kept. All raise Unreachable or DiskTrouble."""

    async def claim(self, owner: str, now: float, until: float) -> Job | None:
        """Takes the oldest one that nobody works on."""

    async def save(self, job: Job, policies: Sequence[StoredPolicy] = ()) -> Job | None:
        """Keeps a changed one, with its policies; None when it has changed since it was read."""

    async def get(self, model: str, job: str) -> Job:
        """One of them; raises NotFound."""


class Bench(Protocol):
    """Gets calibrations ready and finishes them; see `Workshop`. Methods block."""

    def prepare(self, job: Job) -> Path:
        """Makes the job's folder; gives the path of its order."""
        ...

    def finish(self, job: Job) -> tuple[Result, tuple[StoredPolicy, ...]]:
        """Signs the policies that came out."""
        ...

    def clear(self, job: Job) -> None:
        """Removes the job's folder."""
        ...


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`lease_s` after a process was killed its calibrations are begun anew; `beat_s` is how often it is prolonged."""

    at_once: int = 1
    lease_s: float = 10.0
    beat_s: float = 1.0
    poll_s: float = 2.0


class Runner:
    """Works on calibrations until it is cancelled. Used on one event loop."""

    def __init__(self, jobs: Jobs, bench: Bench, owner: str, clock: Callable[[], float], rhythm: Rhythm) -> None:
        """`owner` names this process, `clock` gives Unix times."""
        self._jobs = jobs
        self._bench = bench
        self._owner = owner
        self._clock = clock
        self._rhythm = rhythm
        self._woken = asyncio.Event()
        self._away = False

    def wake(self) -> None:
        """Looks for work at once: there is a new calibration, or one was cancelled."""
        self._woken.set()

    async def run(self) -> None:
        """Works."""
        working: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._woken.clear()
                await self._begin(working)
                woken = asyncio.create_task(self._woken.wait())
                await asyncio.wait({woken, *working}, timeout=self._rhythm.poll_s, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                for task in [task for task in working if task.done()]:
                    working.discard(task)
                    task.result()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _begin(self, working: set[asyncio.Task[None]]) -> None:
        while len(working) < self._rhythm.at_once:
            now = self._clock()
            try:
                job = await self._jobs.claim(self._owner, now, now + self._rhythm.lease_s)
            except (Unreachable, DiskTrouble) as error:
                if not self._away:
                    _LOG.warning("can't look for calibrations: %s", error)
                self._away = True
                return
            self._away = False
            if job is None:
                return
            working.add(asyncio.create_task(self._work(job), name=job.name))

    async def _work(self, job: Job) -> None:
        held = _Held(self._jobs, job, self._clock, self._rhythm)
        beating = asyncio.create_task(held.beat())
        doing = asyncio.create_task(self._done(held))
        try:
            await asyncio.wait({beating, doing}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                await _ended(beating)
                await held.end(*_outcome(doing, held.job, self._clock()))
            else:  # it was cancelled, or somebody else has it
                beating.result()
        except asyncio.CancelledError:
            await _ended(doing)
            await _ended(beating)
            await held.give_back()
            raise
        except (Unreachable, DiskTrouble) as error:
            _LOG.warning("%s can't be kept: %s; it is begun anew", job.name, error)
        finally:
            try:
                await _ended(doing)
                await _ended(beating)
            finally:  # also where we are cancelled while we wait for those
                await asyncio.to_thread(self._bench.clear, job)

    async def _done(self, held: "_Held") -> tuple[Result, tuple[StoredPolicy, ...]]:
        if held.job.attempt > ATTEMPTS:
            raise _Failed(f"the control plane ended {ATTEMPTS} times while it worked on it")
        held.told("getting its versions and questions ready", 0.0)
        order = await asyncio.to_thread(self._bench.prepare, held.job)
        await _run(order, held)
        held.told("signing its policies", 1.0)
        return await asyncio.to_thread(self._bench.finish, held.job)


class _Failed(Exception):
    """It came to nothing; the text says why."""


class _Held:
    """A calibration that this process works on."""

    def __init__(self, jobs: Jobs, job: Job, clock: Callable[[], float], rhythm: Rhythm) -> None:
        self._jobs = jobs
        self.job = job
        self._clock = clock
        self._rhythm = rhythm
        self._doing, self._share = job.doing, job.progress

    def told(self, doing: str, share: float) -> None:
        """Notes how far it is."""
        self._doing, self._share = doing, share

    async def beat(self) -> None:
        """Prolongs the lease and keeps how far it is; ends when the calibration is no longer ours."""
        kept_until = self.job.until
        while True:
            await asyncio.sleep(self._rhythm.beat_s)
            now = self._clock()
            changed = replace(
                self.job, doing=self._doing, progress=self._share, updated=now, until=now + self._rhythm.lease_s
            )
            try:
                kept = await self._jobs.save(changed)
            except (Unreachable, DiskTrouble) as error:
                if now >= kept_until:
                    _LOG.warning("%s is given up, its lease could not be prolonged: %s", self.job.name, error)
                    return
                continue
            if kept is None:
                return
            self.job, kept_until = kept, kept.until

    async def end(self, job: Job, policies: Sequence[StoredPolicy]) -> None:
        """Keeps how it ended, unless it was cancelled meanwhile."""
        level = logging.INFO if job.state is JobState.SUCCEEDED else logging.WARNING
        if await self._jobs.save(replace(job, until=0.0, owner=""), policies) is not None:
            _LOG.log(level, "%s has %s%s", job.name, job.state.value, f": {job.reason}" if job.reason else "")

    async def give_back(self) -> None:
        """Lets another process begin it at once."""
        job = replace(self.job, state=JobState.PENDING, owner="", until=0.0, attempt=self.job.attempt - 1, doing="")
        try:
            await self._jobs.save(replace(job, progress=0.0))
        except (Unreachable, DiskTrouble) as error:
            _LOG.warning("%s is begun anew when its lease has run out: %s", job.name, error)


def _outcome(
    doing: "asyncio.Task[tuple[Result, tuple[StoredPolicy, ...]]]", job: Job, now: float
) -> tuple[Job, Sequence[StoredPolicy]]:
    try:
        result, policies = doing.result()
    except (UpriverError, _Failed, OSError, ValueError) as error:  # the last two: its files were tampered with
        return failed(job, str(error), now), ()
    return succeeded(job, result, now), policies


async def _run(order: Path, held: _Held) -> None:
    """Runs the work in a process group of its own; it ends with us, as its standard input does."""
    complaints = order.with_name("complaints")
    with complaints.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", WORK, str(order),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr, start_new_session=True,
            limit=_MAX_LINE, env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    try:
        told = await _listen(process, held)
        code = await process.wait()
    finally:
        await _end(process)
    if "failed" in told:
        raise _Failed(str(told["failed"]))
    if code or "made" not in told:
        text = await asyncio.to_thread(complaints.read_text, "utf-8", "replace")
        raise _Failed(f"its process ended with exit status {code}: {text.strip().rpartition(chr(10))[2][:_SHOWN]}")


async def _listen(process: asyncio.subprocess.Process, held: _Held) -> dict[str, Any]:
    told: dict[str, Any] = {}
    assert process.stdout is not None  # noqa: S101 - it was asked for
    async for line in process.stdout:
        told = json.loads(line)
        if "doing" in told:
            held.told(str(told["doing"]), float(told["progress"]))
    return told


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the process with its children; it was started by us, and its id is its own until it was waited for."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _ended(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
