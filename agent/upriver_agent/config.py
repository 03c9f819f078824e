"""The agent's configuration: a TOML file with environment overrides, parsed once into frozen dataclasses.

Every setting has an override UPRIVER_<SECTION>_<KEY>, for example UPRIVER_AGENT_TIER or
UPRIVER_DISCOVERY_CONSUL_ADDRESS; lists are separated by commas there. The configuration is checked as a whole and
all its problems are told at once. docs/examples has one annotated file per tier.
"""

import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from upriver.errors import ConfigError
from upriver_agent import document as doc
from upriver_agent.document import as_document
from upriver_agent.monitoring.settings import AuditsSection
from upriver_agent.resilience.settings import PRESET, Preset, ResilienceSection, with_preset

__all__ = [
    "AgentConfig",
    "AgentSection",
    "AuditsSection",
    "BlobsSection",
    "CascadeSection",
    "ConsulSection",
    "ControlPlaneSection",
    "DiscoverySection",
    "LogSection",
    "ModelEntry",
    "ResilienceSection",
    "ServingSection",
    "StaticUpstream",
    "TelemetrySection",
    "TicketsSection",
    "TlsSection",
    "as_document",
    "load_config",
    "parse_config",
]

PREFIX = "UPRIVER"

_ID = doc.text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, '.', '_', '-', at most 63")
_TIER = doc.text(r"[a-z0-9][a-z0-9-]{0,31}", "a tier's name: lower-case letters, digits and '-', at most 32")
_LABEL = doc.text(r"[a-z0-9][a-z0-9._/-]{0,62}", "lower-case letters, digits, '.', '_', '/', '-', at most 63")
_LABEL_TEXT = doc.text(r"[A-Za-z0-9._-]{0,63}", "letters, digits, '.', '_', '-', at most 63")
_OWN_LABELS = ("agent", "tier", "region")
_JOIN = r"upriver://(?:[A-Za-z0-9_-]{1,256}@)?[^@?/\s]+\?root=sha256:[0-9a-f]{64}"
_HTTP_URL = r"https?://(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?/?"
_WILDCARDS = ("0.0.0.0", "[::]", "[::0]")  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, slots=True)
class AgentSection:
    """Who this agent is and where it listens. `tiers` is the ladder, lowest first; [tier] alone when left out.

    An empty `advertise` tells discovery the address that was bound. `id` defaults to <host>-<tier>, `state_dir` to
    upriver/<id> in XDG_STATE_HOME or ~/.local/state.
    """

    id: str = doc.setting(_ID, "")
    tier: str = doc.required(_TIER, "")
    tiers: tuple[str, ...] = doc.setting(doc.texts(_TIER), ())
    region: str = doc.setting(_ID, "default")
    labels: Mapping[str, str] = doc.setting_made(doc.pairs(_LABEL, _LABEL_TEXT), dict)
    listen: str = doc.setting(doc.address(0), "127.0.0.1:8470")
    advertise: str = doc.setting(doc.address(1, optional=True), "")
    state_dir: Path = doc.setting(doc.path(allow_empty=True), Path())


@dataclass(frozen=True, slots=True)
class TlsSection:
    """PEM files. `client_ca` turns on mutual TLS; the `upstream_*` ones are for calling upstreams."""

    certificate: Path | None = doc.setting(doc.optional_path(), None)
    key: Path | None = doc.setting(doc.optional_path(), None)
    client_ca: Path | None = doc.setting(doc.optional_path(), None)
    upstream_ca: Path | None = doc.setting(doc.optional_path(), None)
    upstream_certificate: Path | None = doc.setting(doc.optional_path(), None)
    upstream_key: Path | None = doc.setting(doc.optional_path(), None)


@dataclass(frozen=True, slots=True)
class ServingSection:
    """How questions are answered here.

    `threads` are an interpreter's own; `workers` are interpreters for models slower than `large_model_ms`, 0 for as
    many as cores. `admin` allows loading and unloading models by call.
    """

    runtime: Literal["auto", "litert", "tflite-runtime"] = doc.setting(
        doc.choice("auto", "litert", "tflite-runtime"), "auto"
    )
    threads: int = doc.setting(doc.whole(1, 256), 1)
    workers: int = doc.setting(doc.whole(0, 256), 0)
    large_model_ms: float = doc.setting(doc.number(0, 60_000), 5.0)
    max_inflight: int = doc.setting(doc.whole(1, 65_536), 256)
    max_message_mib: int = doc.setting(doc.whole(1, 2047), 64)
    drain_s: float = doc.setting(doc.number(0, 3600), 10.0)
    admin: bool = doc.setting(doc.flag(), False)


@dataclass(frozen=True, slots=True)
class CascadeSection:
    """How questions are escalated.

    `preset` is how far upstreams are, for everything in [resilience]: `local` on the same machine or in the same rack,
    `lan` on a site's network, `wan` over long, thin or metered lines. `trust` says whose envelopes count: peers of
    mutual TLS, or anyone who reaches the port. `byte_budget` 0 is no limit. `default_timeout_s` bounds an escalation
    whose caller set no deadline. `hop_delay_ms` is added to every escalation, to show or test distance.
    `compress` sends inputs up as zstd frames where that is shorter and the upstream reads it.
    """

    preset: Preset = doc.setting(doc.choice(*get_args(Preset)), PRESET)
    max_hops: int = doc.setting(doc.whole(0, 64), 8)
    trust: Literal["authenticated", "network"] = doc.setting(doc.choice("authenticated", "network"), "authenticated")
    byte_budget: int = doc.setting(doc.whole(0, 2**40), 0)
    default_timeout_s: float = doc.setting(doc.number(0.001, 3600), 10.0)
    hop_delay_ms: float = doc.setting(doc.number(0, 60_000), 0.0)
    compress: bool = doc.setting(doc.flag(), True)


@dataclass(frozen=True, slots=True)
class StaticUpstream:
    """An agent that this one may escalate to, told by configuration."""

    id: str = doc.required(_ID, "")
    address: str = doc.required(doc.address(1), "")
    tier: str = doc.required(_TIER, "")
    region: str = doc.setting(_ID, "default")


@dataclass(frozen=True, slots=True)
class ConsulSection:
    """The Consul agent on this machine. The check's TTL is renewed by the agent; `grpc_check` adds Consul's own."""

    address: str = doc.setting(doc.text(_HTTP_URL, "http://host:port or https://host:port"), "http://127.0.0.1:8500")
    token: str = doc.setting(doc.text(r"[\x21-\x7e]*", "a token without spaces, or empty"), "", secret=True)
    token_file: Path | None = doc.setting(doc.optional_path(), None)
    service: str = doc.setting(doc.text(r"[a-z0-9][a-z0-9-]{0,62}", "a DNS label"), "upriver-agent")
    ttl_s: float = doc.setting(doc.number(0.5, 3600), 10.0)
    grpc_check: bool = doc.setting(doc.flag(), False)


@dataclass(frozen=True, slots=True)
class ControlPlaneSection:
    """Who sends models. `addresses` are its processes, any of which will do; none is an agent on its own.

    `root` is the fingerprint of the root metadata that is trusted at first contact. `join` is all of it in one text, as
    the control plane prints it: `upriver://TOKEN@host:port,host:port?root=sha256:...`. `token` is sent with the hello;
    `ca` verifies the control plane and turns on TLS.
    """

    join: str = doc.setting(
        doc.text(f"(?:{_JOIN})?", "upriver://[TOKEN@]host:port[,host:port]?root=sha256:<64 digits>, or empty"),
        "",
        secret=True,
    )
    addresses: tuple[str, ...] = doc.setting(doc.texts(doc.address(1)), ())
    root: str = doc.setting(doc.text(r"(?:sha256:[0-9a-f]{64})?", "sha256: and 64 hexadecimal digits, or empty"), "")
    token: str = doc.setting(doc.text(r"[A-Za-z0-9_-]{0,256}", "letters, digits, '_', '-', or empty"), "", secret=True)
    ca: Path | None = doc.setting(doc.optional_path(), None)


@dataclass(frozen=True, slots=True)
class BlobsSection:
    """The files of versions on their way. `disk_mib` bounds what is kept, for oneself and for agents below.

    `fetch_mib_s` and `serve_mib_s` bound the bandwidth, 0 for no bound; at most `max_serving` are served at once.
    """

    disk_mib: int = doc.setting(doc.whole(1, 1 << 24), 1024)
    fetch_mib_s: float = doc.setting(doc.number(0, 100_000), 0.0)
    serve_mib_s: float = doc.setting(doc.number(0, 100_000), 0.0)
    max_serving: int = doc.setting(doc.whole(0, 1024), 8)


@dataclass(frozen=True, slots=True)
class DiscoverySection:
    """How upstreams are found."""

    kind: Literal["static", "consul", "control-plane"] = doc.setting(
        doc.choice("static", "consul", "control-plane"), "static"
    )
    static: tuple[StaticUpstream, ...] = doc.tables(StaticUpstream)
    consul: ConsulSection = doc.table(ConsulSection)


@dataclass(frozen=True, slots=True)
class TelemetrySection:
    """Where spans go (empty: nowhere) and which: escalated, unresolved and failed questions are always kept."""

    otlp_endpoint: str = doc.setting(doc.text(f"(?:{_HTTP_URL})?", "http(s)://host:port, or empty for no export"), "")
    sample_rate: float = doc.setting(doc.number(0, 1), 0.01)
    queue_spans: int = doc.setting(doc.whole(1, 1_000_000), 2048)


@dataclass(frozen=True, slots=True)
class TicketsSection:
    """Questions that nobody was sure of, kept so that they can be answered later.

    `max_mib` bounds all of them together, `max_input_kib` the input of one. `reask_per_s` is how many are asked again a
    second at most, 0 for none. `access` says who may list and answer everybody's tickets: peers of mutual TLS, or
    anyone who reaches the port.
    """

    enabled: bool = doc.setting(doc.flag(), True)
    max_mib: int = doc.setting(doc.whole(1, 1 << 20), 64)
    max_age_h: float = doc.setting(doc.number(0.001, 24 * 3650), 168.0)
    max_input_kib: int = doc.setting(doc.whole(1, 1 << 20), 1024)
    reask_per_s: float = doc.setting(doc.number(0, 10_000), 10.0)
    access: Literal["authenticated", "network"] = doc.setting(doc.choice("authenticated", "network"), "authenticated")


@dataclass(frozen=True, slots=True)
class LogSection:
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = doc.setting(
        doc.choice("debug", "info", "warning", "error"), "info"
    )
    format: Literal["text", "json"] = doc.setting(doc.choice("text", "json"), "text")


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A version to serve: a folder or an archive."""

    path: Path = doc.required(doc.path(), Path())


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The whole configuration of one agent."""

    agent: AgentSection = doc.table(AgentSection)
    tls: TlsSection = doc.table(TlsSection)
    serving: ServingSection = doc.table(ServingSection)
    cascade: CascadeSection = doc.table(CascadeSection)
    resilience: ResilienceSection = doc.table(ResilienceSection)
    audits: AuditsSection = doc.table(AuditsSection)
    control_plane: ControlPlaneSection = doc.table(ControlPlaneSection)
    blobs: BlobsSection = doc.table(BlobsSection)
    discovery: DiscoverySection = doc.table(DiscoverySection)
    tickets: TicketsSection = doc.table(TicketsSection)
    telemetry: TelemetrySection = doc.table(TelemetrySection)
    log: LogSection = doc.table(LogSection)
    models: tuple[ModelEntry, ...] = doc.tables(ModelEntry)


def load_config(path: Path | None, environ: Mapping[str, str]) -> AgentConfig:
    """Reads the file (none: defaults), applies the overrides in `environ` and checks that the files it names exist.

    Raises ConfigError with every problem.
    """
    document: dict[str, Any] = {}
    problems = doc.Problems()
    if path is not None:
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"configuration {path}", [f"{path}: cannot be read as TOML: {error}"]) from error
    base = path.parent.absolute() if path is not None else Path.cwd()
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().split(".")[0]).strip("-")
    config = _parse(document, environ, base, host or "agent", problems)
    for key, problem in _missing_files(config):
        if key not in problems.bad:
            problems.add(key, problem)
    return _finished(config, problems, f"configuration {path}" if path else "configuration")


def parse_config(document: dict[str, Any], environ: Mapping[str, str], base: Path, host: str = "host") -> AgentConfig:
    """Makes a configuration of a parsed document and overrides, touching no file.

    Relative paths start from `base`; `host` is the machine's name, for the default id. Raises ConfigError with every
    problem.
    """
    problems = doc.Problems()
    return _finished(_parse(document, environ, base, host, problems), problems, "configuration")


def _finished(config: AgentConfig, problems: doc.Problems, what: str) -> AgentConfig:
    if problems.texts:
        raise ConfigError(what, problems.texts)
    return config


def _parse(
    document: Mapping[str, Any], environ: Mapping[str, str], base: Path, host: str, problems: doc.Problems
) -> AgentConfig:
    overrides = doc.find_overrides(AgentConfig, PREFIX, environ, problems)
    config = doc.read(AgentConfig, _with_preset(document, overrides), overrides, base, problems)
    config = replace(
        config,
        agent=_with_defaults(config.agent, environ, base, host),
        control_plane=_joined(config.control_plane, base, problems),
    )
    bad = frozenset(problems.bad)
    for keys, problem in _contradictions(config):
        if bad.isdisjoint(keys):
            problems.add(keys[0], problem)
    return config


def _with_preset(document: Mapping[str, Any], overrides: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The document with what its preset says in [resilience], below what the document says there itself."""
    cascade = document.get("cascade", {})
    named = cascade.get("preset", PRESET) if isinstance(cascade, Mapping) else PRESET
    _, named = overrides.get("cascade.preset", ("", named))
    return {**document, "resilience": with_preset(named, document.get("resilience", {}))}


def _with_defaults(agent: AgentSection, environ: Mapping[str, str], base: Path, host: str) -> AgentSection:
    name = agent.id or f"{host[:30]}-{agent.tier}"
    state = agent.state_dir
    if state == Path():
        home = environ.get("XDG_STATE_HOME") or (f"{environ['HOME']}/.local/state" if environ.get("HOME") else "state")
        state = base / home / "upriver" / name
    return replace(agent, id=name, tiers=agent.tiers or (agent.tier,), state_dir=state)


def _joined(section: ControlPlaneSection, base: Path, problems: doc.Problems) -> ControlPlaneSection:
    """Takes the join text apart."""
    if not section.join or "control_plane.join" in problems.bad:
        return section
    rest = section.join.removeprefix("upriver://")
    where, _, root = rest.partition("?root=")
    token, _, addresses = where.rpartition("@")
    try:
        found = doc.texts(doc.address(1)).read(addresses.split(","), base)
    except ValueError:
        problems.add("control_plane.join", f"control_plane.join: {addresses!r}: expected host:port[,host:port]")
        return section
    return replace(
        section,
        addresses=section.addresses or found,
        root=section.root or root,
        token=section.token or token,
    )


def _contradictions(config: AgentConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Settings that are allowed one by one but not together: (the keys, what is wrong)."""
    yield from _ladder(config)
    yield from _sent_models(config)
    tls, discovery = config.tls, config.discovery
    for one, other in (("certificate", "key"), ("upstream_certificate", "upstream_key")):
        if (getattr(tls, one) is None) != (getattr(tls, other) is None):
            given, lacking = (one, other) if getattr(tls, other) is None else (other, one)
            yield (f"tls.{one}", f"tls.{other}"), f"tls.{given} is set without tls.{lacking}: give both or neither"
    if tls.client_ca is not None and tls.certificate is None:
        yield (
            ("tls.client_ca", "tls.certificate"),
            "tls.client_ca is set without tls.certificate: clients can only be asked for a certificate over TLS",
        )
    if discovery.consul.token and discovery.consul.token_file is not None:
        yield (
            ("discovery.consul.token", "discovery.consul.token_file"),
            "discovery.consul.token and discovery.consul.token_file are both set: give one",
        )
    if discovery.kind != "static" and discovery.static:
        yield (
            ("discovery.static", "discovery.kind"),
            f"discovery.static has {len(discovery.static)} entries, which discovery.kind = {discovery.kind!r} does not "
            "read: remove them or set discovery.kind = 'static'",
        )
    listen_host = config.agent.listen.rpartition(":")[0]
    if discovery.kind != "static" and listen_host in _WILDCARDS and not config.agent.advertise:
        yield (
            ("agent.advertise", "agent.listen", "discovery.kind"),
            f"agent.advertise is empty while agent.listen = {config.agent.listen!r} is no address that others can "
            "call: set agent.advertise to host:port",
        )
    paths = [entry.path for entry in config.models]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield ("models",), f"models: {path} is listed more than once"


def _sent_models(config: AgentConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    section = config.control_plane
    if section.addresses and not section.root:
        yield (
            ("control_plane.root", "control_plane.addresses", "control_plane.join"),
            "control_plane.root is empty: set it to the fingerprint that the control plane prints at its start: only "
            "models that it signed are run",
        )
    if config.discovery.kind == "control-plane" and not section.addresses:
        yield (
            ("discovery.kind", "control_plane.addresses", "control_plane.join"),
            "discovery.kind = 'control-plane' needs control_plane.join or control_plane.addresses",
        )
    for name in _OWN_LABELS:
        if name in config.agent.labels:
            yield ("agent.labels",), f"agent.labels: {name!r} is told by agent.{name.replace('agent', 'id')} already"


def _ladder(config: AgentConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    tier, tiers = config.agent.tier, config.agent.tiers
    ladder = ", ".join(tiers)
    if tier not in tiers:
        yield ("agent.tier", "agent.tiers"), f"agent.tier = {tier!r}: expected one of agent.tiers: {ladder}"
    static = config.discovery.static
    for index, upstream in enumerate(static):
        key = f"discovery.static[{index}]"
        if upstream.tier not in tiers:
            yield (
                (f"{key}.tier", "agent.tiers", "agent.tier"),
                f"{key}.tier = {upstream.tier!r}: expected one of agent.tiers: {ladder}",
            )
        if upstream.id in {other.id for other in static[:index]}:
            yield (f"{key}.id",), f"{key}.id = {upstream.id!r}: used by an entry before it; ids must differ"


def _missing_files(config: AgentConfig) -> Iterator[tuple[str, str]]:
    named = {f"tls.{name}": path for name, path in _tls_files(config.tls).items()}
    named["discovery.consul.token_file"] = config.discovery.consul.token_file
    named["control_plane.ca"] = config.control_plane.ca
    for key, path in named.items():
        if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
            yield key, f"{key} = {str(path)!r}: expected a file that this user can read"
    for index, entry in enumerate(config.models):
        if not entry.path.exists():
            yield f"models[{index}].path", f"models[{index}].path = {str(entry.path)!r}: no such folder or archive"


def _tls_files(tls: TlsSection) -> dict[str, Path | None]:
    return {
        "certificate": tls.certificate,
        "key": tls.key,
        "client_ca": tls.client_ca,
        "upstream_ca": tls.upstream_ca,
        "upstream_certificate": tls.upstream_certificate,
        "upstream_key": tls.upstream_key,
    }
