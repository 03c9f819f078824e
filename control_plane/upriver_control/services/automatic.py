"""Certifies models anew when an agent raises an alarm, and rolls out what comes of it, where that is allowed.

Only audits count that came after the alarm: those from before speak of questions, or of a top, that are no more.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from upriver.errors import DiskTrouble, Unreachable, UpriverError
from upriver.v1 import rollout_pb2
from upriver_control.jobs import Job
from upriver_control.jobs.alarms import alarmed, is_due, to_roll_out, waiting_s
from upriver_control.observed import AgentFacts
from upriver_control.rollout import Rollout
from upriver_control.wire import carefully

_LOG: Final = logging.getLogger(__name__)
LOOK_S: Final = 10.0
AGAIN_S: Final = 600.0
"""A model that could not be certified anew is looked at again after so long."""


class Jobs(Protocol):
    """Where calibrations are kept; raises Unreachable or DiskTrouble."""

    async def newest(self, model: str, automatic: bool) -> Job | None:
        """The newest calibration of a model that was, or was not, started by itself."""


class Recertify(Protocol):
    """Starts calibrations from audits; see `PolicyServicer.recertify`."""

    async def __call__(
        self, model: str, age_s: float, request_id: str, tier: str = "", *, automatic: bool = False
    ) -> Job:
        """Starts one; the same request again gives the same one."""
        ...


class Start(Protocol):
    """Starts rollouts; see `RolloutServicer.start`."""

    async def __call__(self, request: rollout_pb2.CreateRolloutRequest) -> Rollout:
        """Starts one; the same request again gives the same one."""
        ...


@dataclass(frozen=True, slots=True)
class Allowed:
    """At most once in `every_s` for a model, from audits at most `age_s` old; rings are watched for `soak_s`."""

    every_s: float
    age_s: float
    soak_s: float = 30.0


class Automatic:
    """Looks for alarms. Every process may: what several of them ask for is one request."""

    def __init__(
        self,
        allowed: Allowed,
        agents: Callable[[], Mapping[str, AgentFacts]],
        jobs: Jobs,
        recertify: Recertify,
        start: Start,
        clock: Callable[[], float],
    ) -> None:
        """`agents` gives all agents, on the event loop; `clock` Unix times."""
        self._allowed = allowed
        self._agents = agents
        self._jobs = jobs
        self._recertify = recertify
        self._start = start
        self._clock = clock
        self._ringing_since: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._rolled_out: dict[str, str] = {}

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(min(LOOK_S, waiting_s(self._allowed.every_s)))

    async def look(self) -> None:
        """Looks once: starts what is due, and rolls out what has ended well."""
        ringing, now = alarmed(self._agents().values()), self._clock()
        self._ringing_since = {model: self._ringing_since.get(model, now) for model in ringing}
        for model, tiers in ringing.items():
            if now < self._not_before.get(model, 0.0):
                continue
            try:
                await self._certify(model, tiers, now)
            except (Unreachable, DiskTrouble) as error:
                _LOG.warning("can't look after the alarm of %s: %s", model, error)
            except UpriverError as error:
                self._not_before[model] = now + AGAIN_S
                _LOG.warning("%s can't be certified anew after its alarm: %s", model, error)

    async def _certify(self, model: str, tiers: frozenset[str], now: float) -> None:
        newest = await self._jobs.newest(model, True)
        if newest is not None and newest.has_ended:
            await self._roll_out(newest)
        heard_s, wait_s = now - self._ringing_since[model], waiting_s(self._allowed.every_s)
        if heard_s < wait_s or not is_due(newest, now, self._allowed.every_s):
            return
        tier = next(iter(tiers)) if len(tiers) == 1 else ""
        request = f"alarm-{model}-{int(now // wait_s)}"
        job = await self._recertify(model, min(heard_s, self._allowed.age_s), request, tier, automatic=True)
        _LOG.warning("%s raised an alarm in %s: %s certifies it anew", model, ", ".join(sorted(tiers)), job.name)

    async def _roll_out(self, job: Job) -> None:
        if self._rolled_out.get(job.model) == job.name:
            return
        for tier in to_roll_out(job):
            request = rollout_pb2.CreateRolloutRequest(
                version=tier.version,
                policy=f"models/{job.model}/policies/{tier.policy.removeprefix('sha256:')}",
                selector=f"tier={tier.tier}",
                strategy=carefully(self._allowed.soak_s),
                request_id=f"{job.name}/{tier.tier}",
            )
            made = await self._start(request)
            _LOG.warning("rollouts/%s brings the policy of %s to %s", made.id, job.name, tier.tier)
        self._rolled_out[job.model] = job.name
