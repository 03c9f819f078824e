"""The control plane's composition root: what is made of what, in which order it starts, and in which it ends."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from upriver import logs
from upriver.errors import RuntimeMissing, Unreachable, UpriverError
from upriver.metrics_http import MetricsServer
from upriver.services import handlers, method_handlers
from upriver.v1 import (
    audit_pb2,
    blob_pb2,
    fleet_pb2,
    inbox_pb2,
    log_pb2,
    mesh_pb2,
    policy_pb2,
    pool_pb2,
    question_pb2,
    region_pb2,
    registry_pb2,
    rollout_pb2,
    sync_pb2,
    train_pb2,
)
from upriver_control.blobs.deltas import Deltas
from upriver_control.blobs.servicer import BlobServicer
from upriver_control.certifying import Certifying
from upriver_control.config import ControlPlaneConfig, TrustSection
from upriver_control.console.service import ConsoleService
from upriver_control.console.settings import Settings
from upriver_control.kept import Kept, open_kept
from upriver_control.listening import bind, facts, write_ready
from upriver_control.metrics import Collector, Snapshot
from upriver_control.needed import FleetNeeds
from upriver_control.pooling import Pooling
from upriver_control.publishing import Publisher
from upriver_control.reaching import Reaching
from upriver_control.reconcile.consul_lock import ConsulLock
from upriver_control.reconcile.exchange import Exchange
from upriver_control.reconcile.file_lock import FileLock
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.reconcile.ports import LeaderLock
from upriver_control.reconcile.postgres_lock import PostgresLock
from upriver_control.reconcile.reconciler import Reconciler
from upriver_control.reconcile.threaded import ThreadedAgents, ThreadedRollouts
from upriver_control.services.audits import AuditServicer
from upriver_control.services.authentication import AgentTokens, OperatorTokens
from upriver_control.services.fleet import FleetServicer
from upriver_control.services.logs import LogServicer
from upriver_control.services.published import RegistryVersions
from upriver_control.services.registry import RegistryServicer
from upriver_control.services.rollouts import RolloutServicer
from upriver_control.services.sync import SyncServicer
from upriver_control.sessions.arrivals import Arrivals
from upriver_control.sessions.sessions import Sessions
from upriver_control.store.agents import AgentTable
from upriver_control.store.audits import AuditTable
from upriver_control.store.registry import RegistryStore
from upriver_control.store.rollouts import RolloutTable
from upriver_control.teaching import Teaching
from upriver_control.tuning import settle
from upriver_control.validation import ChildValidation
from upriver_control.watching import Watching

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
MAX_MESSAGE: Final = 4 << 20
DRAIN_S: Final = 2.0
_TELL_S: Final = 0.5
_SIGN_S: Final = (0.5, 600.0)
_SWEEP_S: Final = 3600.0
_LOOP_ANSWERS_S: Final = 10.0
_THREADS: Final = 32
"""For what blocks; many wait for a database that is gone, and blobs and metadata must not wait for those."""
_SYNC: Final = sync_pb2.DESCRIPTOR.services_by_name["SyncService"]
_SERVICES: Final = tuple(
    module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (registry_pb2, "RegistryService"),
        (rollout_pb2, "RolloutService"),
        (fleet_pb2, "FleetService"),
        (blob_pb2, "BlobService"),
        (audit_pb2, "AuditService"),
        (policy_pb2, "PolicyService"),
        (pool_pb2, "PoolService"),
        (region_pb2, "RegionService"),
        (train_pb2, "LessonIntakeService"),
        (train_pb2, "TrainService"),
        (log_pb2, "LogService"),
        (inbox_pb2, "InboxService"),
        (question_pb2, "QuestionService"),
        (mesh_pb2, "MeshService"),
    )
)


def run(config: ControlPlaneConfig, ready_file: Path | None = None) -> int:
    """Runs a control plane until SIGTERM or SIGINT. Gives the process's exit code.

    Raises ConfigError when it can't start: a port that is taken, a folder that can't be written; RuntimeMissing,
    Unreachable and DiskTrouble for the database.
    """
    logs.set_up(config.log.level, config.log.format)
    logging.getLogger("alembic").setLevel("WARNING")  # it tells at every start that there is nothing to do
    kept = open_kept(config)
    try:
        asyncio.run(_serve(kept, ready_file))
    finally:
        kept.close()
    return 0


class ControlPlane:
    """One control-plane process, composed. Made and used on a running event loop."""

    def __init__(self, kept: Kept) -> None:
        config = kept.config
        self._kept = kept
        self._loop = asyncio.get_running_loop()
        rollouts = ThreadedRollouts(RolloutTable(kept.database))
        agents = ThreadedAgents(AgentTable(kept.database, time.time))
        self._lock = _leader_lock(config)
        self._mirror = RolloutMirror(rollouts)
        self._sessions = Sessions(
            self._mirror.desired,
            self._mirror.watches,
            trials=lambda region: self._pooling.heads.announced(region),
        )
        me = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._exchange = Exchange(agents, self._sessions, me)
        self._reconciler = Reconciler(self._mirror, rollouts, self._lock, self._sessions)
        store = RegistryStore(kept.database)
        needed = FleetNeeds(
            lambda: self._ask(lambda: tuple(self._mirror.rollouts.values())),
            lambda: self._ask(lambda: tuple(self._sessions.agents().values())),
        )
        self._publisher = Publisher(
            store, kept.artifacts, kept.repository, ChildValidation(), needed, config.state.folder / "uploads"
        )
        self._deltas = Deltas(kept.artifacts)
        self._audits = AuditTable(kept.database)
        self._certifying = Certifying(kept, store, self._audits, self._sessions, self._mirror, me)
        self._pooling = Pooling(
            kept,
            store,
            self._certifying.publisher,
            self._sessions,
            self._mirror,
            lambda: self._reconciler.leads,
            lambda: self._sessions.trials_changed(),
        )
        self._registry = RegistryServicer(self._publisher)
        versions = RegistryVersions(store, self._certifying.policies, self._certifying.publisher)
        self._rollouts = RolloutServicer(rollouts, versions, self._mirror)
        self._watching = Watching(
            kept, lambda: self._reconciler.leads, self._sessions.agents, lambda: self._mirror.intent, self._audits
        )
        self._sessions.on_report = self._watching.history.heard
        self._teaching = Teaching(
            kept,
            self._publisher,
            self._certifying,
            self._sessions,
            self._mirror,
            self._rollouts.start,
            me,
            self._watching.own,
        )
        self._reaching = Reaching(kept, self._sessions, self._teaching.keeper, store, self._watching.own)
        rate = config.server.arrivals_per_s
        servicers = (
            self._registry,
            self._rollouts,
            FleetServicer(self._sessions, agents, self._mirror, self._certifying.views.stale),
            BlobServicer(kept.artifacts, self._deltas, kept.repository),
            AuditServicer(self._audits),
            self._certifying.servicer,
            self._pooling.servicer,
            self._pooling.views,
            self._teaching.intake,
            self._teaching.servicer,
            LogServicer(logs.LevelSetter()),
            self._reaching.inbox,
            self._watching.questions(self._reaching.inputs, self._reaching.again),
            self._watching.mesh,
        )
        self._server = grpc.aio.server(
            interceptors=[OperatorTokens(kept.operator_token), AgentTokens(kept.join_token, kept.operator_token)],
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.max_send_message_length", MAX_MESSAGE),
                ("grpc.so_reuseport", 0),
                # Agents that arrive at once wait to be admitted or sent away; else grpc cancels some by chance, and not
                # even tells them how long to stay away.
                ("grpc.server.max_pending_requests", config.server.max_agents),
                ("grpc.server.max_pending_requests_hard_limit", 2 * config.server.max_agents),
                # Agents behind address translation ping to keep their way open; those that vanish are noticed.
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
            ],
        )
        self._server.add_generic_rpc_handlers(
            tuple(handlers(service, servicer) for service, servicer in zip(_SERVICES, servicers, strict=True))
        )
        self._server.add_generic_rpc_handlers((self._watching.otlp.handlers(),))
        # Agents have a queue of their own: when thousands arrive at once, operators do not stand behind them.
        sync = SyncServicer(self._sessions, Arrivals(rate, rate), kept.join_token, config.server.max_agents)
        self._server.add_registered_method_handlers(  # type: ignore[attr-defined]  # not in its stubs
            _SYNC.full_name, method_handlers(_SYNC, sync)
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # not in its stubs
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [*(service.full_name for service in (*_SERVICES, _SYNC)), health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, self._server)
        self._metrics: MetricsServer | None = None
        if config.metrics.listen:
            collector = Collector(lambda: self._ask(self._snapshot), self._watching.facts)
            self._metrics = MetricsServer(config.metrics.listen, collector.families)
        self._console = _console(kept)
        self._jobs: list[asyncio.Task[None]] = []
        self.address = ""

    @property
    def console(self) -> str:
        """Where browsers find the console; empty where there is none."""
        return self._console.url if self._console is not None else ""

    async def start(self) -> None:
        """Reads what is kept, binds and serves; raises ConfigError, Unreachable and DiskTrouble."""
        config = self._kept.config
        await self._mirror.refresh()
        await self._exchange.once()
        await asyncio.to_thread(self._publisher.clean)
        await self._certifying.start()
        await self._teaching.start()
        await self._watching.start()
        await self._reaching.start()
        port = bind(self._server, config)
        if self._console is not None:
            self._console.bind(self._server)
        self.address = f"{config.server.listen.rpartition(':')[0]}:{port}"
        await self._server.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        if self._metrics is not None:
            self._metrics.start()
            _LOG.info("metrics are at http://%s/metrics", self._metrics.address)
        self._jobs = [
            asyncio.create_task(job, name=name)
            for name, job in (
                ("rollouts are mirrored", self._mirror.run()),
                ("intent is followed", self._follow_intent()),
                ("agents are told of others", self._tell()),
                ("agents are exchanged", self._exchange.run()),
                ("rollouts move on", self._reconciler.run()),
                ("signatures are renewed", self._every(renewal_s(config.trust), self._kept.repository.refresh)),
                ("artifacts are swept", self._every(_SWEEP_S, self._publisher.sweep)),
                ("calibrations are worked on", self._certifying.run(self._rollouts.start)),
                ("models are trained", self._teaching.run()),
                ("what is pooled is swept", self._every(_SWEEP_S, self._pooling.sweep)),
                ("heads of regions are made", self._pooling.run(self._rollouts.start)),
                ("audits are swept", self._every(_SWEEP_S, lambda: self._audits.sweep(time.time()))),
                *self._watching.jobs(),
                *((("browsers are served", self._console.run()),) if self._console is not None else ()),
            )
        ]

    async def wait(self, ended: asyncio.Event) -> None:
        """Waits for the end, or until a job ends that never should: then its error is raised."""
        end = asyncio.create_task(ended.wait())
        done, _ = await asyncio.wait([end, *self._jobs], return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        for job in done - {end}:
            await job

    async def stop(self) -> None:
        """Takes no more calls, lets publications finish, notes that no agent is connected here any more."""
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(DRAIN_S)
        await self._registry.close()
        await self._reaching.close()
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        if self._console is not None:
            self._console.close()
        await asyncio.to_thread(self._watching.close)
        self._deltas.close()
        if isinstance(self._lock, ConsulLock):
            await self._lock.close()

    def _snapshot(self) -> Snapshot:
        return Snapshot(dict(self._sessions.agents()), dict(self._mirror.rollouts), self._mirror.intent, time.time())

    async def _follow_intent(self) -> None:
        changed, followed = self._mirror.listen(), frozenset[object]()
        while True:
            await changed.wait()
            changed.clear()
            decided = self._mirror.decided()
            if decided != followed:  # else a rollout has only counted: looking at every agent is for nothing
                followed = decided
                self._sessions.intent_changed()

    async def _tell(self) -> None:
        due = 0.0
        while True:
            if self._loop.time() >= due:
                due = self._loop.time() + self._sessions.upstreams_changed()
            self._sessions.rhythm_changed(_TELL_S)
            await asyncio.sleep(_TELL_S)

    async def _every(self, seconds: float, work: Callable[[], object]) -> None:
        while True:
            try:
                await asyncio.to_thread(work)
            except (UpriverError, OSError) as error:  # a lock that another process holds for long, for one
                _LOG.error("%s; tried again in %.0f s", error, seconds)
            await asyncio.sleep(seconds)

    def _ask(self, function: Callable[[], T]) -> T:
        """Runs something on the event loop for a thread that waits for it; raises Unreachable when it is stuck."""

        async def answer() -> T:
            return function()

        try:
            return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(_LOOP_ANSWERS_S)
        except TimeoutError as error:
            raise Unreachable(f"the control plane did not answer itself within {_LOOP_ANSWERS_S:.0f} s") from error


def renewal_s(trust: TrustSection) -> float:
    """How often to look whether signatures are to be renewed, which they are when half of their time is over."""
    shortest_s = 86_400 * min(trust.root_days, trust.targets_days, trust.snapshot_days, trust.timestamp_days)
    least_s, most_s = _SIGN_S
    return max(least_s, min(most_s, shortest_s / 8))


async def _serve(kept: Kept, ready_file: Path | None) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "upriver-blocking"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    control_plane = ControlPlane(kept)
    await control_plane.start()
    settle()
    try:
        _LOG.info("the control plane serves on %s; its root is %s", control_plane.address, kept.fingerprint)
        if control_plane.console:
            _LOG.info("the console is at %s", control_plane.console)
        _LOG.info("agents join with what `upriver-control join` prints")
        if ready_file is not None:
            await asyncio.to_thread(write_ready, ready_file, facts(kept, control_plane.address, control_plane.console))
        await control_plane.wait(ended)
        _LOG.info("ending")
    finally:
        await control_plane.stop()


def _console(kept: Kept) -> ConsoleService | None:
    section = kept.config.console
    if not section.enabled:
        return None
    try:
        return ConsoleService(Settings(section.listen, kept.operator_token, version("upriver-control")))
    except RuntimeMissing as error:
        _LOG.info("%s", error)
        return None


def _leader_lock(config: ControlPlaneConfig) -> LeaderLock:
    if config.leader.lock == "consul":
        return ConsulLock(config.leader.consul, config.leader.consul_token)
    if config.database_url.startswith("sqlite"):
        return FileLock(config.state.folder / "leader.lock")
    return PostgresLock(config.database_url)
