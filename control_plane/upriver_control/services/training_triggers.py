"""Starts trainings that nobody asked for, where that is allowed. Every process may look: they ask for one request."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from upriver.errors import DiskTrouble, QueueFull, Unreachable, UpriverError
from upriver_control.jobs.alarms import alarmed
from upriver_control.jobs.training import Training, TrainSpec
from upriver_control.jobs.triggers import Triggers, due, escalation_rate, unseen
from upriver_control.observed import AgentFacts
from upriver_control.store.lessons import LessonTable

_LOG: Final = logging.getLogger(__name__)
LOOK_S: Final = 30.0


class Start(Protocol):
    """Starts trainings; see `TrainServicer.start`."""

    async def __call__(self, model: str, spec: TrainSpec, request_id: str, trigger: str = "") -> Training:
        """Starts one; the same request again gives the same one."""
        ...


class Newest(Protocol):
    """Where trainings are kept; raises Unreachable or DiskTrouble."""

    async def newest(self, model: str) -> Training | None:
        """The newest training of a model."""

    async def newest_of_all(self, model: str) -> Training | None:
        """The newest training of a model that has made a version of the lessons of all regions and times."""


class TrainingTriggers:
    """Looks at models that there are lessons of."""

    def __init__(
        self,
        triggers: Triggers,
        lessons: LessonTable,
        trainings: Newest,
        agents: Callable[[], Mapping[str, AgentFacts]],
        start: Start,
        clock: Callable[[], float],
    ) -> None:
        """`agents` gives all agents, on the event loop; `clock` Unix times."""
        self._triggers = triggers
        self._lessons = lessons
        self._trainings = trainings
        self._agents = agents
        self._start = start
        self._clock = clock
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while self._triggers.any:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Looks once, and starts what is due."""
        try:
            for model in await asyncio.to_thread(self._lessons.models):
                await self._look(model, self._clock())
        except (Unreachable, DiskTrouble, QueueFull) as error:
            _LOG.warning("can't look now whether trainings are due, or start them: %s", error)

    async def _look(self, model: str, now: float) -> None:
        if now < self._not_before.get(model, 0.0):
            return
        agents = self._agents().values()
        newest, taught = await self._trainings.newest(model), await self._trainings.newest_of_all(model)
        count, new = await asyncio.to_thread(self._counted, model, taught)
        why = due(self._triggers, newest, count, new, escalation_rate(model, agents), model in alarmed(agents), now)
        if not why:
            return
        request = f"trigger-{model}-{'first' if newest is None else newest.id}"
        try:
            job = await self._start(model, TrainSpec("", "", rollout=True), request, why)
        except (Unreachable, DiskTrouble, QueueFull):  # for minutes
            raise
        except UpriverError as error:
            self._not_before[model] = now + self._triggers.every_s
            _LOG.warning("%s can't be trained (%s): %s", model, why, error)
            return
        _LOG.info("%s is trained as %s: %s", model, job.name, why)

    def _counted(self, model: str, taught: Training | None) -> tuple[int, int]:
        """The lessons of a model, and those of them that are new."""
        count = self._lessons.count(model)
        if taught is None:
            return count, count
        day_after = datetime.fromtimestamp((taught.ended or taught.created) + 86_400.0, UTC).strftime("%Y-%m-%d")
        return count, unseen(count, self._lessons.count(model, day_after), taught.result)
