"""Every setting of an agent: its section, its default, what it may be, and what it trades.

`upriver_agent.config` reads them; docs/examples has one annotated file per tier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from upriver_agent import document as doc
from upriver_agent.monitoring.settings import AuditsSection
from upriver_agent.resilience.settings import PRESET, Preset, ResilienceSection

_ID = doc.text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, '.', '_', '-', at most 63")
_AGENT_ID = doc.text(
    r"(?!person\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, '.', '_', '-', at most 63, and not 'person'"
)
_TIER = doc.text(r"[a-z0-9][a-z0-9-]{0,31}", "a tier's name: lower-case letters, digits and '-', at most 32")
_LABEL = doc.text(r"[a-z0-9][a-z0-9._/-]{0,62}", "lower-case letters, digits, '.', '_', '/', '-', at most 63")
_LABEL_TEXT = doc.text(r"[A-Za-z0-9._-]{0,63}", "letters, digits, '.', '_', '-', at most 63")
_JOIN = r"upriver://(?:[A-Za-z0-9_-]{1,256}@)?[^@?/\s]+\?root=sha256:[0-9a-f]{64}"
_HTTP_URL = r"https?://(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?/?"


@dataclass(frozen=True, slots=True)
class AgentSection:
    """Who this agent is and where it listens. `tiers` is the ladder, lowest first; [tier] alone when left out.

    An empty `advertise` tells discovery the address that was bound. `id` defaults to <host>-<tier>, `state_dir` to
    upriver/<id> in XDG_STATE_HOME or ~/.local/state. Answers of people have `person` in the place of the id.
    """

    id: str = doc.setting(_AGENT_ID, "")
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

    id: str = doc.required(_AGENT_ID, "")
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
    """Where spans go and which: escalated, degraded, unresolved and failed questions are always kept.

    `auto` exports to `otlp_endpoint`, or else to the control plane if there is one. What nobody takes waits: in memory
    at most `queue_spans`, on the disk at most `spool_mib`, 0 for none; ordinary spans go first. With `metrics` `otlp`
    the families that Prometheus would fetch are sent to `otlp_endpoint` too.
    """

    metrics: Literal["off", "otlp"] = doc.setting(doc.choice("off", "otlp"), "off")
    export: Literal["auto", "off"] = doc.setting(doc.choice("auto", "off"), "auto")
    otlp_endpoint: str = doc.setting(
        doc.text(f"(?:{_HTTP_URL})?", "http(s)://host:port, or empty for the control plane"), ""
    )
    sample_rate: float = doc.setting(doc.number(0, 1), 0.01)
    queue_spans: int = doc.setting(doc.whole(1, 1_000_000), 2048)
    spool_mib: int = doc.setting(doc.whole(0, 1 << 14), 16)


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
class LearningSection:
    """What was asked above is learnt, so that it need not be asked again.

    `trust` says who may teach: upstreams that proved themselves by TLS, or anyone who is upstream. `holdout` is the
    share of questions that never teach; a head is tested on those of them that were audited. A head may lose what
    `max_loss` says with this `confidence`; 0 is what the active pair is certified for. Of teachers that contradict each
    other `quorum` must agree. `teacher_error` is the share of a teacher's answers that the top may contradict before
    nothing of it is believed. `teacher_per_min` and `caller_per_min` bound the lessons by one teacher and from one
    caller, 0 for no bound. Lessons take at most `max_mib` and are kept for `max_age_h`. `memory_lessons` has older
    lessons fade: each counts less by a factor e after so many others, 0 is never. `keep_inputs` keeps the inputs of
    callers who set `upriver.learn`, sealed with the key in `encrypt_key_file` if there is one. `share` says what goes
    up: nothing, sums over lessons, or inputs that are kept too. Of these at most `hand_up_mib` wait here, and
    go up with `hand_up_kib_s`, 0 for no bound. Sums go up every `pool_s`, and those from below take at most
    `pool_mib`. `noise` hides single lessons in what goes up (see docs/regions.md), 0 not at all; it is in units of
    what one lesson can add, whose embedding is clipped to `clip_norm` (0: not, and then there can be no noise), and
    drawn at most `releases` times.
    `promote` lets a head that is certified answer.
    `access` says who may see and forget lessons: peers of mutual TLS, or anyone who reaches the port.
    """

    enabled: bool = doc.setting(doc.flag(), True)
    trust: Literal["authenticated", "network"] = doc.setting(doc.choice("authenticated", "network"), "authenticated")
    holdout: float = doc.setting(doc.number(0.01, 0.9), 0.4)
    max_loss: float = doc.setting(doc.number(0, 0.5), 0.0)
    confidence: float = doc.setting(doc.number(0, 0.999999), 0.0)
    quorum: int = doc.setting(doc.whole(1, 64), 2)
    teacher_error: float = doc.setting(doc.number(0.0001, 0.4), 0.03)
    teacher_per_min: float = doc.setting(doc.number(0, 10_000_000), 6000.0)
    caller_per_min: float = doc.setting(doc.number(0, 10_000_000), 1200.0)
    max_mib: int = doc.setting(doc.whole(1, 1 << 20), 64)
    max_age_h: float = doc.setting(doc.number(0.001, 24 * 3650), 2160.0)
    memory_lessons: int = doc.setting(doc.whole(0, 1_000_000_000), 0)
    keep_inputs: bool = doc.setting(doc.flag(), False)
    encrypt_key_file: Path | None = doc.setting(doc.optional_path(), None)
    share: Literal["none", "statistics", "inputs"] = doc.setting(
        doc.choice("none", "statistics", "inputs"), "statistics"
    )
    hand_up_mib: int = doc.setting(doc.whole(1, 1 << 20), 64)
    hand_up_kib_s: float = doc.setting(doc.number(0, 1 << 24), 256.0)
    pool_s: float = doc.setting(doc.number(0.05, 86_400), 60.0)
    pool_mib: int = doc.setting(doc.whole(1, 1 << 20), 64)
    clip_norm: float = doc.setting(doc.number(0, 1_000_000), 0.0)
    noise: float = doc.setting(doc.number(0, 1_000_000), 0.0)
    releases: int = doc.setting(doc.whole(1, 100_000), 16)
    promote: bool = doc.setting(doc.flag(), True)
    access: Literal["authenticated", "network"] = doc.setting(doc.choice("authenticated", "network"), "authenticated")


@dataclass(frozen=True, slots=True)
class LogSection:
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = doc.setting(
        doc.choice("debug", "info", "warning", "error"), "info"
    )
    format: Literal["text", "json"] = doc.setting(doc.choice("text", "json"), "text")


@dataclass(frozen=True, slots=True)
class MetricsSection:
    """Where Prometheus fetches metrics, by `GET /metrics`; empty: nowhere, and then nothing is measured for it."""

    listen: str = doc.setting(doc.address(0, optional=True), "")


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
    learning: LearningSection = doc.table(LearningSection)
    telemetry: TelemetrySection = doc.table(TelemetrySection)
    metrics: MetricsSection = doc.table(MetricsSection)
    log: LogSection = doc.table(LogSection)
    models: tuple[ModelEntry, ...] = doc.tables(ModelEntry)
