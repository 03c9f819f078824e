"""The part of a control plane that trains, composed: lessons that are handed up, trainings, and their services."""

import asyncio
import logging
import sys
import time
from collections.abc import Mapping
from typing import Final

from upriver.errors import UpriverError
from upriver_control.certifying import Certifying
from upriver_control.config import TrainingSection
from upriver_control.jobs.ladder import Rung, ladder
from upriver_control.jobs.triggers import Triggers
from upriver_control.kept import Kept
from upriver_control.lessons.files import LessonFiles
from upriver_control.lessons.keeper import Bounds, Keeper
from upriver_control.observed import AgentFacts
from upriver_control.publishing import Publisher
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.reconcile.ports import FleetView
from upriver_control.services.deeds import Deeds
from upriver_control.services.lessons import LessonIntakeServicer
from upriver_control.services.lineage import Lineages
from upriver_control.services.source_uploads import SourceUploads
from upriver_control.services.train import Parts, TrainServicer
from upriver_control.services.training_bases import TrainingBases
from upriver_control.services.training_triggers import TrainingTriggers
from upriver_control.spans.own import OwnSpans
from upriver_control.store.lessons import LessonTable
from upriver_control.store.questions import QuestionTable
from upriver_control.store.trainings import SourceTable, TrainingTable
from upriver_control.store.trials import TrialTable
from upriver_control.training.finishing import Following, Start, TrainingBench
from upriver_control.training.threaded import Trainings
from upriver_control.training.used import Lessons
from upriver_control.training.workshop import Limits, TrainingWorkshop
from upriver_control.working.child import Program
from upriver_control.working.folders import Folders
from upriver_control.working.runner import Rhythm, Runner

_LOG: Final = logging.getLogger(__name__)
MODULE: Final = "upriver_control.training.work"
_TIDY_S: Final = 60.0
_LOST_S: Final = 86_400.0


class Teaching:
    """Lessons and trainings of one control-plane process, which `owner` names. Made and used on an event loop."""

    def __init__(
        self,
        kept: Kept,
        publisher: Publisher,
        certifying: Certifying,
        fleet: FleetView,
        mirror: RolloutMirror,
        start: Start,
        owner: str,
        own: OwnSpans,
    ) -> None:
        """`start` starts rollouts, and `own` takes the spans of what is done here.

        Raises ConfigError and RuntimeMissing for the lessons' URL.
        """
        config, registry = kept.config.training, publisher.store
        self._fleet, self._mirror = fleet, mirror
        files = LessonFiles(kept.config.lessons_url, kept.config.artifacts_options)
        bounds = Bounds(int(config.max_gib * (1 << 30)), config.keep_days)
        self.keeper = Keeper(LessonTable(kept.database), files, bounds, time.time)
        self._sources = SourceTable(registry)
        lessons = Lessons(self._sources, kept.artifacts, self.keeper, TrialTable(kept.database))
        self._deeds = Deeds(own, lessons, mirror)
        table, questions = TrainingTable(kept.database), QuestionTable(registry)
        workshop = TrainingWorkshop(
            folders=Folders(kept.config.state.folder / "trainings"),
            publisher=publisher,
            artifacts=kept.artifacts,
            sources=self._sources,
            questions=questions,
            keeper=self.keeper,
            limits=Limits(config.memory_mib, config.disk_mib),
            clock=time.time,
            told=self._deeds.trained,
        )
        self._workshop, self._table = workshop, table
        hop_ms = kept.config.policies.hop_ms
        following = Following(config.max_loss, config.confidence, config.rollout, hop_ms)
        bench = TrainingBench(workshop, certifying.servicer, self._wanted, start, following)
        trainings = Trainings(table)
        self._runner = Runner(trainings, bench, program_of(config), owner, time.time, Rhythm(at_once=config.at_once))
        self.intake = LessonIntakeServicer(self.keeper)
        parts = Parts(
            trainings=trainings,
            bases=TrainingBases(registry, self._sources, questions, self._wanted, config.ray_address),
            uploads=SourceUploads(publisher, self._sources, time.time),
            keeper=self.keeper,
            lineages=Lineages(registry, self._sources, table, certifying.policies),
            runner=self._runner,
        )
        self.servicer = TrainServicer(parts)
        triggers = Triggers(
            config.new_lessons, config.escalation_rate, config.alarm, config.schedule, 3600.0 * config.every_h
        )
        self._triggers = TrainingTriggers(
            triggers, self.keeper.table, trainings, self._agents, self.servicer.start, time.time
        )

    async def start(self) -> None:
        """Removes what processes that were killed have left behind."""
        await asyncio.to_thread(self._workshop.folders.clean)

    async def run(self) -> None:
        """Works on trainings, looks after the files of lessons, for what starts a training, and tells what was done."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._runner.run())
            group.create_task(self._tidy())
            group.create_task(self._triggers.run())
            group.create_task(self._deeds.run())

    async def _tidy(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.keeper.tidy)
                await asyncio.to_thread(self._workshop.tidy, lambda: {job.id for job in self._table.open_jobs()})
                await asyncio.to_thread(self._sources.forget, time.time() - _LOST_S, time.time())
            except UpriverError as error:
                _LOG.error("lessons: %s; tried again in %.0f s", error, _TIDY_S)
            await asyncio.sleep(_TIDY_S)

    def _agents(self) -> Mapping[str, AgentFacts]:
        return self._fleet.agents()

    def _wanted(self, model: str) -> tuple[Rung, ...]:
        return ladder(model, tuple(self._fleet.agents().values()), self._mirror.intent)


def program_of(config: TrainingSection) -> Program:
    """The program that trains, run by the Python that has the `train` extra."""
    return Program(
        MODULE,
        preparing="getting its base and lessons ready",
        finishing="publishing its version",
        python=sys.executable if config.python is None else str(config.python),
        logs=True,
        timeout_s=config.timeout_s,
        environ={"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"},
    )
