"""Calibrations and policies for an event loop: every call on a thread, few at a time."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, ParamSpec, TypeVar

from upriver_control.jobs import Job, Result, succeeded
from upriver_control.store.calibrations import JobPage, JobTable
from upriver_control.store.policies import PolicyTable, StoredPolicy

P = ParamSpec("P")
T = TypeVar("T")
_AT_ONCE: Final = 4


class ThreadedJobs:
    """JobTable's and PolicyTable's methods as coroutines; they raise the same."""

    def __init__(self, jobs: JobTable, policies: PolicyTable) -> None:
        self._jobs = jobs
        self._policies = policies
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def create(self, job: Job, request_id: str) -> tuple[Job, bool]:
        """Keeps a new calibration, or gives the one that this request has made before."""
        return await self._run(self._jobs.create, job, request_id)

    async def get(self, model: str, job: str) -> Job:
        """A calibration; raises NotFound."""
        return await self._run(self._jobs.get, model, job)

    async def of_request(self, request_id: str) -> Job | None:
        """The calibration that a request has made."""
        return await self._run(self._jobs.of_request, request_id)

    async def page(self, model: str, before: int, size: int) -> JobPage:
        """Calibrations, newest first."""
        return await self._run(self._jobs.page, model, before, size)

    async def claim(self, owner: str, now: float, until: float) -> Job | None:
        """Takes the oldest one that nobody works on."""
        return await self._run(self._jobs.claim, owner, now, until)

    async def save(self, job: Job, policies: Sequence[StoredPolicy] = ()) -> Job | None:
        """Keeps a changed one, with its policies; None when it has changed since it was read."""
        return await self._run(self._jobs.save, job, policies)

    async def succeed(self, job: Job, made: tuple[Result, Sequence[StoredPolicy]], now: float) -> Job | None:
        """Keeps one that has ended well, with its policies; None when it has changed since it was read."""
        result, policies = made
        return await self._run(self._jobs.save, succeeded(job, result, now), policies)

    async def newest(self, model: str, automatic: bool) -> Job | None:
        """The newest calibration of a model that was, or was not, started by itself."""
        return await self._run(self._jobs.newest, model, automatic)

    async def open_jobs(self) -> Sequence[Job]:
        """All that have not ended, oldest first."""
        return await self._run(self._jobs.open_jobs)

    async def policy(self, name: str) -> StoredPolicy:
        """A policy by its name; raises InvalidInput and NotFound."""
        return await self._run(self._policies.get, name)

    async def documents_of(self, model: str, version_digest: str) -> Sequence[str]:
        """The documents of all policies of a version, oldest first."""
        return await self._run(self._policies.documents_of, model, version_digest)

    async def policies(self, model: str, before: int, size: int) -> tuple[tuple[StoredPolicy, ...], int]:
        """Policies, newest first, and where the next page begins."""
        return await self._run(self._policies.page, model, before, size)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._places:
            return await asyncio.to_thread(partial(function, *args, **kwargs))
