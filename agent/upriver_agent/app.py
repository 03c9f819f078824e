"""The agent's composition root: what is made of what, in which order it starts, and in which it ends."""

import json
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from upriver import logs
from upriver.channels import ChannelOptions, TlsFiles
from upriver.discovery.port import AgentRecord, Discovery, ServedModel
from upriver.discovery.static import StaticDiscovery
from upriver.errors import ConfigError, ManifestError, ModelInvalid, RuntimeMissing
from upriver.log_levels import SERVICE as LOG_SERVICE
from upriver.parameters import PROTOCOL
from upriver.services import handlers
from upriver_agent.auditing.asking import TopAsker
from upriver_agent.auditing.auditor import Auditor
from upriver_agent.auditing.delivery import Delivery
from upriver_agent.auditing.listening import Listener
from upriver_agent.exporting import span_export
from upriver_agent.handing import Handing
from upriver_agent.held_out import JournalHoldout
from upriver_agent.journal import Journal
from upriver_agent.measuring import Measured, Measuring
from upriver_agent.place import Place
from upriver_agent.refining import Refining
from upriver_agent.relay import Relay, above
from upriver_agent.sections import AgentConfig
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.ascent import CascadeRules
from upriver_agent.serving.core import ServingCore
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.loader import Loader, LoaderOptions
from upriver_agent.serving.packing import Packer
from upriver_agent.serving.refiner import Refiner
from upriver_agent.serving.slots import Slots
from upriver_agent.sharing import Sharing
from upriver_agent.sync.discovery import ControlPlaneDiscovery
from upriver_agent.sync.wire import write_pooling
from upriver_agent.teaching import Teaching
from upriver_agent.telemetry import Origin, Telemetry
from upriver_agent.ticketing import Ticketing
from upriver_agent.tickets.table import Ticket
from upriver_agent.transport.catalogue import CatalogueServicer
from upriver_agent.transport.inference import InferenceServicer
from upriver_agent.transport.logs import LogServicer
from upriver_agent.transport.server import GrpcServer, ServerTls, make_executor
from upriver_agent.tuning import settle, tune
from upriver_agent.upstream.guard import Guard
from upriver_agent.upstream.links import Links
from upriver_agent.upstream.upstreams import Upstreams
from upriver_agent.versions import Version, open_version
from upriver_agent.versions.head_store import HeadStore

if TYPE_CHECKING:
    from upriver_agent.member import Member

_LOG = logging.getLogger(__name__)
_LAST_CALLS_S = 0.2


def run(config: AgentConfig, ready_file: Path | None = None) -> int:
    """Runs an agent until SIGTERM or SIGINT, then drains it. Gives the process's exit code.

    Raises ConfigError when the agent can't start: a port that is taken, a state folder that can't be written.
    """
    logs.set_up(config.log.level, config.log.format)
    tune()
    told = _signals()
    agent = Agent(config)
    agent.start()
    settle()
    if ready_file is not None:
        _write_ready(ready_file, agent)
    told.recv(1)
    agent.stop()
    return 0


def _signals() -> socket.socket:
    """Gives a socket that has a byte to read once SIGTERM or SIGINT came.

    Python runs handlers on the main thread only, and a signal that the kernel gives to another thread does not wake a
    main thread that waits for a lock. The byte is written by whichever thread gets the signal.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader


class Agent:
    """One agent, composed."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        agent, serving, resilience = config.agent, config.serving, config.resilience
        _make_state_dir(agent.state_dir)
        self._place = Place(agent.id, agent.tier, agent.region, agent.tiers)
        max_message_bytes = serving.max_message_mib << 20
        options = LoaderOptions(
            serving.runtime, serving.threads, serving.workers, serving.large_model_ms, agent.state_dir
        )
        loader = Loader(options, self._place)
        self._slots = Slots(loader)
        self._discovery = _discovery(config, self._tell)
        channel = ChannelOptions(
            max_message_bytes=max_message_bytes,
            tls=_upstream_tls(config),
            max_reconnect_backoff_ms=_reconnect_ms(config),
        )
        self._upstreams = Upstreams(self._place, self._discovery, Links(channel), Guard(resilience))
        told = self._discovery
        relays = told.relays if isinstance(told, ControlPlaneDiscovery) else told.agents
        self._relay = Relay(config, self._place, relays, channel)
        self._telemetry = Telemetry(agent.id, agent.tier, agent.region, config.telemetry.sample_rate)
        self._admission = Admission(serving.max_inflight, resilience.admission, resilience.sources)
        self._teaching = Teaching(config, self._place, self._slots)
        book = None if self._teaching.school.off else self._teaching.book
        self._sharing = Sharing(
            config, self._place, book, relays, channel, above(config), self._relay.downloader, self._slots.active
        )
        self._handing = Handing(config, self._place, self._teaching, relays, channel, above(config))
        self._slots.activating = self._activating
        self._heads = HeadStore(agent.state_dir)
        self._refiner = Refiner(agent.state_dir, loader, self._slots, self._heads, self._tell)
        school = self._teaching.school
        self._refining = Refining(config, self._teaching.book, school, self._refiner, self._slots)
        self._sharing.holds_out(JournalHoldout(self._teaching.journal, self._slots.active))
        self._refining.learner.promoted = self._promoted
        self._auditor = self._audits(None if school.off else self._refining.learner.keeper)
        self._ticketing = Ticketing(config, self._upstreams)
        if self._ticketing.desk is not None:
            self._ticketing.desk.taught = self._teaching.answered
            self._ticketing.desk.answered = self._ticket_answered
        self._core = ServingCore(
            self._place,
            _rules(config),
            self._slots,
            self._admission,
            self._upstreams,
            self._telemetry,
            self._ticketing.desk,
        )
        executor = make_executor(serving.max_inflight)
        self._server = GrpcServer(
            InferenceServicer(self._core, executor, max_message_bytes),
            CatalogueServicer(agent.id, self._slots, self._admission, serving.admin, self._announce),
            executor,
            serving.max_inflight,
            max_message_bytes,
            [
                self._relay.service(executor.blocking),
                self._ticketing.service(executor.blocking),
                self._teaching.service(executor.blocking),
                self._refining.service(executor.blocking),
                self._sharing.service(executor.blocking),
                self._handing.service(executor.blocking),
                handlers(LOG_SERVICE, LogServicer(logs.LevelSetter(), serving.admin)),
            ],
        )
        self._measuring = Measuring(
            config,
            Measured(
                slots=self._slots,
                guard=self._upstreams.guard,
                admission=self._admission,
                telemetry=self._telemetry,
                teaching=self._teaching,
                refining=self._refining,
                decisions=self.decisions,
                journals=self._journals,
                spans=lambda: None if self._export is None else self._export.counts(),
            ),
        )
        self._configured = _configured(config)
        self._member = self._join(loader) if config.control_plane.addresses else None
        self._export = span_export(config, self._telemetry, os.environ, settle)
        self._ending = False
        self.address = ""

    def start(self) -> None:
        """Binds, loads the models, serves, and only then tells discovery and the control plane."""
        config = self._config
        port = self._server.bind(config.agent.listen, _server_tls(config))
        self._auditor.open()
        self._teaching.open()
        self.address = f"{config.agent.listen.rpartition(':')[0]}:{port}"
        installed = self._member.recover() if self._member is not None else frozenset()
        for path, version in self._configured.items():
            # What the control plane had this agent run comes before what its configuration says.
            if version is None or version.manifest.model not in installed:
                self._load(path)
        self._refiner.recover()
        self._ticketing.start(self._core, self._place, self._slots, self._discovery, self._admission)
        self._server.start()
        self._show_health()
        self._server.set_health("", True)
        self._auditor.start()
        self._refining.start()
        self._teaching.start()
        self._sharing.start()
        self._handing.start()
        _LOG.info("agent %s (tier %s) serves on %s", config.agent.id, config.agent.tier, self.address)
        self._discovery.start(self._record())
        if self._member is not None:
            self._member.start()
        if self._export is not None:
            self._export.start()
        self._measuring.start()

    def stop(self) -> None:
        """Stops taking, finishes what is inside, deregisters, ends."""
        config = self._config
        _LOG.info("draining: at most %.0f s", config.serving.drain_s)
        self._discovery.draining()
        self._server.set_health("", False)
        self._ending = True
        self._tell()
        self._ticketing.drain()
        if not self._admission.drain(config.serving.drain_s):
            _LOG.warning("%d requests were not finished in time", self._admission.inflight)
        # Calls that are on their way here now are still told that we drain; the server's end would only cut them off.
        time.sleep(_LAST_CALLS_S)
        self._server.stop(1.0)
        self._measuring.close()
        self._auditor.close()
        self._sharing.close()
        self._handing.close()
        self._refining.close()
        self._teaching.close()
        self._ticketing.close()
        if self._member is not None:
            self._member.close()
        self._relay.close()
        self._discovery.close()
        self._upstreams.close()
        if self._export is not None:
            self._export.close()
        told = ", ".join(f"{name} {count}" for name, count in self.decisions().items())
        _LOG.info("agent %s has ended; decisions: %s", config.agent.id, told or "none")

    @property
    def id(self) -> str:
        """The agent's id."""
        return self._config.agent.id

    def decisions(self) -> Mapping[str, int]:
        """How often each kind of decision was made since the start and what became of tickets, by name, if at all."""
        counts = {
            **self._upstreams.guard.counters.snapshot(),
            **self._admission.counters.snapshot(),
            **self._auditor.bytes_up(),
            **self._ticketing.counters(),
            **self._teaching.counters(),
            **self._refining.counters(),
            **self._handing.counters(),
            **self._sharing.counters(),
        }
        return {name: count for name, count in counts.items() if count}

    def _load(self, path: Path) -> None:
        # One broken version must not keep the others from serving: it is told in the repository index and by readiness.
        try:
            loaded = self._slots.load(path)
        except (ManifestError, ModelInvalid, RuntimeMissing) as error:
            _LOG.error("%s is not served: %s", path, error)
            self._slots.fail(path.stem, path, error)
            return
        manifest = loaded.version.manifest
        _LOG.info("serving %s version %s (%s)", manifest.model, manifest.version, loaded.version.digest[:19])

    def _join(self, loader: Loader) -> "Member":
        from upriver_agent.member import Member, Surroundings  # what installs is loaded only where somebody assigns

        around = Surroundings(
            describe=self._record,
            load=lambda: self._admission.inflight / self._admission.limit,
            draining=lambda: self._ending,
            decisions=self.decisions,
            standing=self._refiner.standing,
            changed=self._announce,
            fallback=self._fall_back,
            trials=self._sharing.trials,
            pooling=lambda: write_pooling(self._sharing.facts(), *self._sharing.privacy()),
            lessons=self._teaching.lessons,
        )
        discovery = self._discovery if isinstance(self._discovery, ControlPlaneDiscovery) else None
        digests = [version.digest for version in self._configured.values() if version is not None]
        return Member(self._config, self._relay, loader, self._slots, self._heads, discovery, around, digests)

    def _audits(self, listener: Listener | None) -> Auditor:
        config = self._config
        cascade = config.cascade
        packer = Packer(cascade.compress)
        top = TopAsker(self._place, self._upstreams, cascade.max_hops, cascade.default_timeout_s, packer)

        def delivery(journal: Journal) -> Delivery:
            link = above(config)
            return Delivery(journal, link.addresses, link.channel, link.token)

        there_is_one = bool(config.control_plane.addresses)
        return Auditor(
            config.agent.state_dir,
            self._place,
            config.audits,
            top,
            delivery if there_is_one else None,
            self._telemetry,
            self._rang,
            listener,
        )

    def _ticket_answered(self, ticket: Ticket, by: str) -> None:
        self._telemetry.ticket(ticket.model, ticket.id, ticket.origin, by)

    def _promoted(self, model: str, version: str, lessons: int, origins: Sequence[Origin]) -> None:
        self._telemetry.promoted(model, version, lessons, origins)
        self._measuring.promoted(model)

    def _journals(self) -> list[Journal]:
        journals = [self._auditor.journal, self._teaching.journal]
        if self._ticketing.desk is not None:
            journals.append(self._ticketing.desk.journal)
        if self._export is not None and self._export.journal is not None:
            journals.append(self._export.journal)
        return journals

    def _rang(self) -> None:
        """An alarm rings: what was learnt here is not believed first, then what was assigned."""
        self._refiner.look()
        self._tell()

    def _activating(self, loaded: LoadedVersion) -> None:
        if self._measuring.meter is not None:
            loaded.meter = self._measuring.meter(loaded.model)
        self._auditor.watch(loaded)
        self._teaching.attend(loaded)

    def _tell(self) -> None:
        if self._member is not None:
            self._member.tell()

    def _fall_back(self, model: str) -> None:
        for path, version in self._configured.items():
            if version is not None and version.manifest.model == model:
                self._load(path)

    def _show_health(self) -> None:
        for slot in self._slots.all():
            self._server.set_health(slot.model, slot.active is not None)

    def _announce(self) -> None:
        """Tells health checks and discovery what is served now."""
        self._show_health()
        self._discovery.update(self._record())

    def _record(self) -> AgentRecord:
        config = self._config
        models = {
            slot.model: ServedModel(slot.active.version.manifest.version, slot.active.version.digest)
            for slot in self._slots.all()
            if slot.active is not None
        }
        return AgentRecord(
            agent=config.agent.id,
            tier=config.agent.tier,
            region=config.agent.region,
            address=config.agent.advertise or self.address,
            protocol=PROTOCOL,
            models=models,
            load=self._admission.inflight / self._admission.limit,
            tls=config.tls.certificate is not None,
        )


def _rules(config: AgentConfig) -> CascadeRules:
    cascade = config.cascade
    return CascadeRules(
        max_hops=cascade.max_hops,
        trust_network=cascade.trust == "network",
        byte_budget=cascade.byte_budget or None,
        default_timeout_s=cascade.default_timeout_s,
        hop_delay_s=cascade.hop_delay_ms / 1000,
        compress=cascade.compress,
    )


def _configured(config: AgentConfig) -> dict[Path, Version | None]:
    """The configured versions by path, opened but not loaded; None for one that is broken, which loading tells of."""
    found: dict[Path, Version | None] = {}
    for entry in config.models:
        try:
            found[entry.path] = open_version(entry.path, config.agent.state_dir)
        except (ManifestError, ModelInvalid):
            found[entry.path] = None
    return found


def _discovery(config: AgentConfig, tell: Callable[[], None]) -> Discovery:
    """`tell` has the control plane told that something has changed."""
    discovery = config.discovery
    if discovery.kind == "control-plane":
        return ControlPlaneDiscovery(config.agent.state_dir, tell)
    if discovery.kind == "consul":
        from upriver.discovery.consul import ConsulDiscovery, ConsulOptions  # httpx is loaded only where it is used

        consul = discovery.consul
        return ConsulDiscovery(
            ConsulOptions(
                address=consul.address,
                token=consul.token,
                token_file=consul.token_file,
                service=consul.service,
                ttl_s=consul.ttl_s,
                grpc_check=consul.grpc_check,
            ),
            config.agent.state_dir,
            config.agent.tiers[config.agent.tiers.index(config.agent.tier) + 1 :] or (config.agent.tier,),
        )
    return StaticDiscovery(
        AgentRecord(entry.id, entry.tier, entry.region, entry.address, PROTOCOL, {}, 0.0) for entry in discovery.static
    )


def _reconnect_ms(config: AgentConfig) -> int:
    """The longest that gRPC waits before it connects again: a trial after a breaker's pause must find a connection,
    and not fail because gRPC keeps pausing by a clock of its own."""
    return int(min(max(2000 * config.resilience.breaker.first_pause_s, 500), 5000))


def _upstream_tls(config: AgentConfig) -> TlsFiles | None:
    tls = config.tls
    if tls.upstream_ca is None and tls.upstream_certificate is None:
        return None
    return TlsFiles(ca=tls.upstream_ca, certificate=tls.upstream_certificate, key=tls.upstream_key)


def _server_tls(config: AgentConfig) -> ServerTls | None:
    tls = config.tls
    if tls.certificate is None or tls.key is None:
        return None
    return ServerTls(tls.certificate, tls.key, tls.client_ca)


def _make_state_dir(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            "can't start", [f"agent.state_dir = {str(path)!r}: {error.strerror}; expected a folder to write to"]
        ) from error


def _write_ready(path: Path, agent: Agent) -> None:
    facts = {"agent": agent.id, "address": agent.address, "pid": os.getpid()}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(facts, file)
    Path(file.name).replace(path)
