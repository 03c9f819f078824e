"""Trainings for an event loop: every call on a thread, few at a time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar

from upriver_control.jobs.training import Training, TrainResult, trained
from upriver_control.store.jobs import Page
from upriver_control.store.trainings import TrainingTable

P = ParamSpec("P")
T = TypeVar("T")
_AT_ONCE: Final = 4


class Trainings:
    """TrainingTable's methods as coroutines; they raise the same."""

    def __init__(self, table: TrainingTable) -> None:
        self._table = table
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def create(self, job: Training, request_id: str) -> tuple[Training, bool]:
        """Keeps a new training, or gives the one that this request has made before."""
        return await self._run(self._table.create, job, request_id)

    async def get(self, model: str, job: str) -> Training:
        """A training; raises NotFound."""
        return await self._run(self._table.get, model, job)

    async def of_request(self, request_id: str) -> Training | None:
        """The training that a request has made."""
        return await self._run(self._table.of_request, request_id)

    async def page(self, model: str, before: int, size: int) -> Page[Training]:
        """Trainings, newest first."""
        return await self._run(self._table.page, model, before, size)

    async def open_jobs(self) -> Sequence[Training]:
        """All that have not ended, oldest first."""
        return await self._run(self._table.open_jobs)

    async def newest(self, model: str) -> Training | None:
        """The newest training of a model."""
        return await self._run(self._table.newest_of, model, lambda _: True)

    async def newest_of_all(self, model: str) -> Training | None:
        """The newest training of a model that has made a version of the lessons of all regions and times."""
        return await self._run(
            self._table.newest_of,
            model,
            lambda one: one.result is not None and not one.spec.region and not one.spec.since,
        )

    async def claim(self, owner: str, now: float, until: float) -> Training | None:
        """Takes the oldest one that nobody works on."""
        return await self._run(self._table.claim, owner, now, until)

    async def save(self, job: Training) -> Training | None:
        """Keeps a changed training; None when it has changed since it was read."""
        return await self._run(self._table.save_with, job)

    async def succeed(self, job: Training, made: TrainResult, now: float) -> Training | None:
        """Keeps one that has ended well; None when it has changed since it was read."""
        return await self._run(self._table.save_with, trained(job, made, now))

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._places:
            return await asyncio.to_thread(function, *args, **kwargs)
