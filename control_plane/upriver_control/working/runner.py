"""Works on jobs of one kind, a few at a time: each in a process group of its own, held by a lease in the database.

A process of the control plane that ends takes its children with it, and gives back what it was working on; one that is
killed loses its lease, and the job is begun anew by whoever is there.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

from upriver.errors import DiskTrouble, Unreachable, UpriverError
from upriver_control.jobs import JobState, Work, failed
from upriver_control.working.child import ChildFailed, Program, run_child
from upriver_control.working.threads import whole

ATTEMPTS: Final = 3
MAX_LOG: Final = 300
_MAX_LINE: Final = 300
_LOG: Final = logging.getLogger(__name__)
W = TypeVar("W", bound=Work)
M = TypeVar("M")
W_contra = TypeVar("W_contra", bound=Work, contravariant=True)
M_contra = TypeVar("M_contra", contravariant=True)
M_co = TypeVar("M_co", covariant=True)
Tell = Callable[[str, float], None]
"""Notes what is done now, and the share of all work that is behind."""


class Jobs(Protocol[W, M_contra]):
    """Where jobs are kept. All raise Unreachable or DiskTrouble."""

    async def claim(self, owner: str, now: float, until: float) -> W | None:
        """Takes the oldest one that nobody works on."""

    async def save(self, job: W) -> W | None:
        """Keeps a changed one; None when it has changed since it was read."""

    async def succeed(self, job: W, made: M_contra, now: float) -> W | None:
        """Keeps one that has ended well, with what came out; None when it has changed since it was read."""


class Bench(Protocol[W_contra, M_co]):
    """Gets jobs ready and finishes them."""

    def prepare(self, job: W_contra) -> Path | None:
        """Makes the job's folder; gives the path of its order, None when all that was ordered is done. Blocks."""
        ...

    async def finish(self, job: W_contra, tell: Tell) -> M_co:
        """Makes something lasting of what came out."""
        ...

    def clear(self, job: W_contra) -> None:
        """Removes the job's folder. Blocks."""
        ...


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`lease_s` after a process was killed its jobs are begun anew; `beat_s` is how often it is prolonged."""

    at_once: int = 1
    lease_s: float = 10.0
    beat_s: float = 1.0
    poll_s: float = 2.0


class Runner(Generic[W, M]):
    """Works on jobs until it is cancelled. Used on one event loop."""

    def __init__(
        self,
        jobs: Jobs[W, M],
        bench: Bench[W, M],
        program: Program,
        owner: str,
        clock: Callable[[], float],
        rhythm: Rhythm,
    ) -> None:
        """`owner` names this process, `clock` gives Unix times."""
        self._jobs = jobs
        self._bench = bench
        self._program = program
        self._owner = owner
        self._clock = clock
        self._rhythm = rhythm
        self._woken = asyncio.Event()
        self._away = False

    def wake(self) -> None:
        """Looks for work at once: there is a new job, or one was cancelled."""
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
            try:
                job = await self._claimed()
            except (Unreachable, DiskTrouble) as error:
                if not self._away:
                    _LOG.warning("can't look for jobs: %s", error)
                self._away = True
                return
            self._away = False
            if job is None:
                return
            working.add(asyncio.create_task(self._work(job), name=job.name))

    async def _claimed(self) -> W | None:
        now = self._clock()
        claiming = asyncio.ensure_future(self._jobs.claim(self._owner, now, now + self._rhythm.lease_s))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:  # it is made all the same
            with suppress(Unreachable, DiskTrouble):
                if (job := await claiming) is not None:
                    await _Held(self._jobs, job, self._clock, self._rhythm).give_back()
            raise

    async def _work(self, job: W) -> None:
        held = _Held(self._jobs, job, self._clock, self._rhythm)
        beating = asyncio.create_task(held.beat())
        doing = asyncio.create_task(self._done(held))
        try:
            await asyncio.wait({beating, doing}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                held.rest()
                await beating
                await held.end(doing)
            else:  # it was cancelled, or somebody else has it
                beating.result()
        except asyncio.CancelledError:
            await _ended(doing)
            held.rest()
            await asyncio.gather(beating, return_exceptions=True)
            await held.give_back()
            raise
        except (Unreachable, DiskTrouble) as error:
            _LOG.warning("%s can't be kept: %s; it is begun anew", job.name, error)
        finally:
            try:
                await _ended(doing)
                await _ended(beating)
            finally:  # also where we are cancelled while we wait for those
                await whole(self._bench.clear, job)

    async def _done(self, held: "_Held[W, M]") -> M:
        if held.job.attempt > ATTEMPTS:
            raise ChildFailed(f"the control plane ended {ATTEMPTS} times while it worked on it")
        held.told(self._program.preparing, 0.0)
        order = await whole(self._bench.prepare, held.job)
        if order is not None:
            await run_child(self._program, order, held.told, held.printed)
        held.told(self._program.finishing, 1.0)
        return await self._bench.finish(held.job, held.told)


class _Held(Generic[W, M]):
    """A job that this process works on."""

    def __init__(self, jobs: Jobs[W, M], job: W, clock: Callable[[], float], rhythm: Rhythm) -> None:
        self._jobs = jobs
        self.job = job
        self._clock = clock
        self._rhythm = rhythm
        self._doing, self._share = job.doing, job.progress
        self._log, self._logged = job.log, job.logged
        self._resting = asyncio.Event()

    def told(self, doing: str, share: float) -> None:
        """Notes how far it is."""
        self._doing, self._share = doing, share

    def printed(self, line: str) -> None:
        """Notes a line that its process printed."""
        self._log = (*self._log, line[:_MAX_LINE])[-MAX_LOG:]
        self._logged += 1

    def rest(self) -> None:
        """Lets `beat` end when its change is kept, which would be made all the same if nobody waited for it."""
        self._resting.set()

    async def beat(self) -> None:
        """Prolongs the lease and keeps how far it is; ends when the job is no longer ours."""
        kept_until = self.job.until
        while not await self._rested():
            now = self._clock()
            changed = replace(
                self._noted(), doing=self._doing, progress=self._share, updated=now, until=now + self._rhythm.lease_s
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

    async def end(self, doing: "asyncio.Task[M]") -> None:
        """Keeps how it ended, unless it was cancelled meanwhile."""
        job, now = replace(self._noted(), until=0.0, owner=""), self._clock()
        try:
            made = doing.result()
        except (UpriverError, ChildFailed, OSError, ValueError) as error:  # the last two: its files were tampered with
            kept = await self._jobs.save(failed(job, str(error), now))
        else:
            kept = await self._jobs.succeed(job, made, now)
        if kept is not None:
            level = logging.INFO if kept.state is JobState.SUCCEEDED else logging.WARNING
            _LOG.log(level, "%s has %s%s", job.name, kept.state.value, f": {kept.reason}" if kept.reason else "")

    async def give_back(self) -> None:
        """Lets another process begin it at once."""
        job = replace(self.job, state=JobState.PENDING, owner="", until=0.0, attempt=self.job.attempt - 1, doing="")
        try:
            await self._jobs.save(replace(job, progress=0.0))
        except (Unreachable, DiskTrouble) as error:
            _LOG.warning("%s is begun anew when its lease has run out: %s", job.name, error)

    async def _rested(self) -> bool:
        try:
            await asyncio.wait_for(self._resting.wait(), self._rhythm.beat_s)
        except TimeoutError:
            return False
        return True

    def _noted(self) -> W:
        return replace(self.job, log=self._log, logged=self._logged)


async def _ended(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
