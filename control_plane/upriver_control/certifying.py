"""The part of a control plane that calibrates, composed: what is kept, what works on it, and its service."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final

from upriver.errors import UpriverError
from upriver_control.calibrating.audit_log import TableAudits
from upriver_control.calibrating.threaded import ThreadedJobs
from upriver_control.calibrating.workshop import Limits, Workshop
from upriver_control.jobs.ladder import Rung, ladder
from upriver_control.kept import Kept
from upriver_control.observed import AgentFacts
from upriver_control.policy_publishing import PolicyPublisher
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.reconcile.ports import FleetView
from upriver_control.services.automatic import Allowed, Automatic, Start
from upriver_control.services.policies import PolicyServicer
from upriver_control.services.policy_views import PolicyViews
from upriver_control.services.question_uploads import QuestionUploads
from upriver_control.services.tiers import Tiers
from upriver_control.store.audits import AuditTable
from upriver_control.store.calibrations import JobTable
from upriver_control.store.heads import HeadTable
from upriver_control.store.policies import PolicyTable
from upriver_control.store.questions import QuestionTable
from upriver_control.store.registry import RegistryStore
from upriver_control.working.child import Program
from upriver_control.working.folders import Folders
from upriver_control.working.runner import Rhythm, Runner

_LOG: Final = logging.getLogger(__name__)
_FORGET_S: Final = 3600.0
WORK: Final = Program(
    "upriver_control.calibrating.work",
    preparing="getting its versions and questions ready",
    finishing="signing its policies",
    environ={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
)


class Certifying:
    """Calibrations of one control-plane process, which `owner` names. Made and used on a running event loop."""

    def __init__(
        self,
        kept: Kept,
        registry: RegistryStore,
        audits: AuditTable,
        fleet: FleetView,
        mirror: RolloutMirror,
        owner: str,
    ) -> None:
        config, folder = kept.config.policies, kept.config.state.folder / "calibrations"
        self.policies = PolicyTable(kept.database)
        self.publisher = PolicyPublisher(
            registry, kept.artifacts, HeadTable(registry), self.policies, kept.repository, time.time
        )
        self._fleet, self._mirror = fleet, mirror
        self._questions = QuestionTable(registry)
        self._workshop = Workshop(
            folders=Folders(folder),
            registry=registry,
            artifacts=kept.artifacts,
            signer=self.publisher,
            audits=TableAudits(audits, self.policies),
            limits=Limits(config.tier_timeout_s, config.memory_mib),
            clock=time.time,
        )
        jobs = ThreadedJobs(JobTable(kept.database), self.policies)
        self._runner = Runner(jobs, self._workshop, WORK, owner, time.time, Rhythm(at_once=config.at_once))
        keep_s = 86_400.0 * config.keep_data_days
        self._uploads = QuestionUploads(
            self._questions, kept.artifacts, folder / "uploads", config.max_data_bytes, keep_s, time.time
        )
        self.views = PolicyViews(registry, self._running, self._agents)
        tiers = Tiers(registry, self._wanted, self._running, config.hop_ms)
        self.servicer = PolicyServicer(jobs, self._uploads, tiers, self.views, self._runner, self.publisher.publish)
        self._jobs, self._settings = jobs, config

    async def run(self, start: Start) -> None:
        """Works on calibrations, lets go of data that nobody uses, and looks after alarms where that is allowed.

        `start` starts rollouts.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._runner.run())
            group.create_task(self._forget())
            if self._settings.recertify == "automatic":
                allowed = Allowed(3600.0 * self._settings.recertify_every_h, 86_400.0 * self._settings.audit_days)
                recertify = self.servicer.recertify
                group.create_task(Automatic(allowed, self._agents, self._jobs, recertify, start, time.time).run())

    async def start(self) -> None:
        """Removes what processes that were killed have left behind."""
        await asyncio.to_thread(self._workshop.folders.clean)
        await asyncio.to_thread(self._uploads.clean)

    async def _forget(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._questions.forget, time.time())
            except UpriverError as error:
                _LOG.error("%s; tried again in %.0f s", error, _FORGET_S)
            await asyncio.sleep(_FORGET_S)

    def _agents(self) -> Mapping[str, AgentFacts]:
        return self._fleet.agents()

    def _wanted(self, model: str) -> tuple[Rung, ...]:
        return ladder(model, tuple(self._fleet.agents().values()), self._mirror.intent)

    def _running(self, model: str) -> tuple[Rung, ...]:
        return ladder(model, tuple(self._fleet.agents().values()), None)
