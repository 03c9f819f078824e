"""The control plane's configuration: a TOML file with environment overrides, checked as a whole.

Every setting has an override UPRIVER_CONTROL_<SECTION>_<KEY>, for example UPRIVER_CONTROL_SERVER_LISTEN. Without a file
everything is kept in one folder: SQLite, artifacts, keys.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from upriver.errors import ConfigError

PREFIX = "UPRIVER_CONTROL"
_PATHS = (
    ("state", "folder"),
    ("trust", "keys"),
    ("server", "certificate"),
    ("server", "key"),
    ("server", "client_ca"),
    ("calling", "ca"),
    ("calling", "certificate"),
    ("calling", "key"),
    ("access", "operator_token_file"),
    ("access", "join_token_file"),
    ("training", "python"),
)
_WILDCARDS = ("0.0.0.0", "[::]", "[::0]")  # noqa: S104 - compared with, never bound
_Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(_Section):
    """Where it listens. `advertise` is what agents and operators call when that is another address."""

    listen: _Address = "127.0.0.1:8480"
    advertise: _Address | Literal[""] = ""
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    max_agents: int = Field(default=20_000, ge=1, le=1_000_000)
    arrivals_per_s: float = Field(default=500.0, gt=0, le=100_000)

    @model_validator(mode="after")
    def _pairs(self) -> "ServerSection":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: give both or neither")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca is set without certificate: clients are asked for theirs over TLS only")
        if self.listen.rpartition(":")[0] in _WILDCARDS and not self.advertise:
            raise ValueError(
                f"advertise is empty while listen = {self.listen!r} is no address that agents can call: set it"
            )
        return self


class StateSection(_Section):
    """Where everything is kept. Empty URLs are a SQLite file and a folder below `folder`.

    `s3_endpoint` is another S3 service than Amazon's, for artifacts at `s3://...`.
    """

    folder: Path = Path("upriver-control-state")
    database: str = Field(default="", pattern=r"^(|sqlite:///.+|postgresql(\+psycopg)?://.+)$")
    artifacts: str = ""
    s3_endpoint: str = Field(default="", pattern=r"^(|https?://.+)$")


class AccessSection(_Section):
    """Who may do what. `required` asks operators and agents for tokens, which are made at the first start."""

    required: bool = True
    operator_token_file: Path | None = None
    join_token_file: Path | None = None


class TrustSection(_Section):
    """Keys and how long signatures hold. `keys` is a private folder; empty is below the state folder."""

    keys: Path | None = None
    roots: int = Field(default=1, ge=1, le=16)
    threshold: int = Field(default=1, ge=1, le=16)
    root_days: float = Field(default=365.0, gt=0)
    targets_days: float = Field(default=90.0, gt=0)
    snapshot_days: float = Field(default=7.0, gt=0)
    timestamp_days: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _reachable(self) -> "TrustSection":
        if self.threshold > self.roots:
            raise ValueError(f"threshold {self.threshold} is more than there are root keys ({self.roots})")
        return self


class LeaderSection(_Section):
    """Which process moves rollouts on: by a lock in the database, or by a session in Consul."""

    lock: Literal["database", "consul"] = "database"
    consul: str = Field(default="http://127.0.0.1:8500", pattern=r"^https?://.+$")
    consul_token: str = ""


class PoliciesSection(_Section):
    """Calibrations: how many at once, what each may take, and whether pairs are certified anew without being asked.

    `tier_timeout_s` is processor time of one tier's version, `memory_mib` memory of one process. Uploaded data goes
    `keep_data_days` after its last use. With `recertify = "automatic"` a model whose agent raised an alarm is certified
    anew from the audits since then, of `audit_days` at most, once in `recertify_every_h`, and what comes out is rolled
    out.
    """

    at_once: int = Field(default=1, ge=1, le=64)
    tier_timeout_s: float = Field(default=3600.0, ge=1, le=7 * 86_400)
    memory_mib: int = Field(default=4096, ge=512, le=1 << 20)
    max_data_bytes: int = Field(default=4 << 30, ge=1 << 20, le=1 << 44)
    keep_data_days: float = Field(default=30.0, gt=0, le=3650)
    hop_ms: float = Field(default=10.0, ge=0, le=600_000)
    recertify: Literal["manual", "automatic"] = "manual"
    recertify_every_h: float = Field(default=24.0, ge=0.01, le=24 * 365)
    audit_days: float = Field(default=30.0, gt=0, le=3650)


class TrainingSection(_Section):
    """Lessons that are handed up, and trainings of whole models from them.

    `lessons` is where lessons are kept, a folder or URL, empty for a folder below `state.folder`; they take at most
    `max_gib` and go `keep_days` after they came. `python` runs trainings and has the `train` extra, empty for the
    Python of the control plane; `ray_address` is the cluster for those that ask for Ray. A training ends after
    `timeout_s`; its process may have `memory_mib`, its folder `disk_mib`. What comes out is calibrated to lose
    `max_loss` with `confidence`, 0 for not at all, and rolled out where that is asked for and `rollout` allows it.

    A training is started by itself, at most once in `every_h`, when there are `new_lessons` since the last one, when a
    share of `escalation_rate` of the questions goes up, on an `alarm`, or whenever `every_h` has passed with
    `schedule`; with all of them off, which is so unless they are set, never.
    """

    lessons: str = ""
    max_gib: float = Field(default=100.0, gt=0, le=1 << 30)
    keep_days: float = Field(default=365.0, gt=0, le=3650)
    python: Path | None = None
    ray_address: str = ""
    at_once: int = Field(default=1, ge=1, le=16)
    timeout_s: float = Field(default=6 * 3600.0, ge=1, le=30 * 86_400)
    memory_mib: int = Field(default=16_384, ge=512, le=1 << 22)
    disk_mib: int = Field(default=16_384, ge=16, le=1 << 26)
    max_loss: float = Field(default=0.01, ge=0, lt=1)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    rollout: bool = True
    new_lessons: int = Field(default=0, ge=0)
    escalation_rate: float = Field(default=0.0, ge=0, le=1)
    alarm: bool = False
    schedule: bool = False
    every_h: float = Field(default=24.0, ge=0.01, le=24 * 365)


class RegionsSection(_Section):
    """Heads that are made of what the agents of a region have learnt.

    `heads` is what is done by itself: nothing, heads that are certified and then wait for an operator, or also rolled
    out. A head may lose `max_loss` with this `confidence`, 0 is what runs there is certified for. It is made of
    `least_lessons` at least, looked after every `look_s`; agents have `wait_s` to count what it gets right, and where
    too few questions were held out for `give_up_h` the trial ends; one that came to nothing is tried again after
    `again_h`. A change of a head takes at most `change_bytes`. Rings are watched for `soak_s`.
    """

    heads: Literal["off", "certify", "roll-out"] = "certify"
    max_loss: float = Field(default=0.0, ge=0, lt=1)
    confidence: float = Field(default=0.0, ge=0, lt=1)
    least_lessons: float = Field(default=50.0, ge=1)
    look_s: float = Field(default=60.0, ge=0.1, le=86_400)
    wait_s: float = Field(default=600.0, ge=0, le=30 * 86_400)
    give_up_h: float = Field(default=24.0, gt=0, le=24 * 365)
    again_h: float = Field(default=24.0, ge=0, le=24 * 365)
    change_bytes: int = Field(default=1000, ge=100, le=1 << 22)
    soak_s: float = Field(default=30.0, ge=0, le=30 * 86_400)


class SpansSection(_Section):
    """Spans that agents and other OpenTelemetry SDKs send.

    `database` is where they are kept, empty for a SQLite file in `state.folder`; they take at most `max_mib` and go
    `max_age_days` after they came. `forward` is another OTLP/gRPC receiver that gets them too; what it wants in the
    headers is in the environment variable OTEL_EXPORTER_OTLP_HEADERS.
    """

    database: str = Field(default="", pattern=r"^(|sqlite:///.+|postgresql(\+psycopg)?://.+)$")
    max_mib: int = Field(default=2048, ge=16, le=1 << 24)
    max_age_days: float = Field(default=14.0, gt=0, le=3650)
    forward: str = Field(default="", pattern=r"^(|https?://[^/]+/?)$")


class CallingSection(_Section):
    """How agents are called at the addresses that they told, for what operators want of them; off calls nobody.

    `ca` verifies agents that serve TLS (none: the system's authorities), `certificate` and `key` are what they are
    shown; with one of these, agents without TLS are not called. `networks` are those that agents are called in, as
    `10.0.0.0/8`; none are all but reserved and link-local ones, and loopback where `server.listen` is not.
    """

    enabled: bool = True
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    networks: tuple[str, ...] = ()

    @field_validator("networks", mode="before")
    @classmethod
    def _from_a_variable(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _usable(self) -> "CallingSection":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: give both or neither")
        for network in self.networks:
            ip_network(network)  # its ValueError names what is wrong
        return self


class ConsoleSection(_Section):
    """The pages in a browser, where the `console` extra is installed.

    `trace_url` is where another back end shows a trace, with `{trace_id}` in it, such as
    `http://tempo.example/trace/{trace_id}`; empty for nowhere.
    """

    enabled: bool = True
    listen: _Address = "127.0.0.1:8481"
    trace_url: str = Field(default="", pattern=r"^(|https?://.*\{trace_id\}.*)$")


class LogSection(_Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class MetricsSection(_Section):
    """Where Prometheus fetches metrics, by `GET /metrics`; empty: nowhere."""

    listen: _Address | Literal[""] = ""


class ControlPlaneConfig(_Section):
    """The whole configuration of one control-plane process."""

    server: ServerSection = ServerSection()
    state: StateSection = StateSection()
    access: AccessSection = AccessSection()
    trust: TrustSection = TrustSection()
    leader: LeaderSection = LeaderSection()
    policies: PoliciesSection = PoliciesSection()
    training: TrainingSection = TrainingSection()
    regions: RegionsSection = RegionsSection()
    spans: SpansSection = SpansSection()
    calling: CallingSection = CallingSection()
    metrics: MetricsSection = MetricsSection()
    console: ConsoleSection = ConsoleSection()
    log: LogSection = LogSection()

    @property
    def database_url(self) -> str:
        """The database, as SQLAlchemy has it."""
        return self._url(self.state.database, "control.db")

    @property
    def spans_url(self) -> str:
        """The database of spans, as SQLAlchemy has it."""
        return self._url(self.spans.database, "spans.sqlite")

    def _url(self, given: str, file: str) -> str:
        url = given or f"sqlite:///{self.state.folder.absolute()}/{file}"
        return re.sub(r"^postgresql://", "postgresql+psycopg://", url)

    @property
    def artifacts_url(self) -> str:
        """Where blobs are kept, as fsspec has it."""
        return self.state.artifacts or str(self.state.folder.absolute() / "artifacts")

    @property
    def lessons_url(self) -> str:
        """Where lessons are kept, as fsspec has it."""
        return self.training.lessons or str(self.state.folder.absolute() / "lessons")

    @property
    def artifacts_options(self) -> Mapping[str, str]:
        """What fsspec is told besides."""
        return {"endpoint_url": self.state.s3_endpoint} if self.state.s3_endpoint else {}

    @property
    def keys_folder(self) -> Path:
        """Where private keys are kept."""
        return self.trust.keys or self.state.folder / "keys"


def load_config(path: Path | None, environ: Mapping[str, str]) -> ControlPlaneConfig:
    """Reads the file (none: defaults) and applies the overrides in `environ`; raises ConfigError with every problem."""
    document: dict[str, Any] = {}
    if path is not None:
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"configuration {path}", [f"{path}: cannot be read as TOML: {error}"]) from error
    problems = _override(document, environ)
    try:
        config = ControlPlaneConfig.model_validate(_anchored(document, path))
    except ValidationError as error:
        problems += [_told(entry) for entry in error.errors()]
        raise ConfigError("configuration", problems) from error
    problems += [
        f"{section}.{name} = {str(file)!r}: expected a file that this user can read"
        for section, names in (
            ("server", ("certificate", "key", "client_ca")),
            ("calling", ("ca", "certificate", "key")),
        )
        for name in names
        if (file := getattr(getattr(config, section), name)) is not None and not os.access(file, os.R_OK)
    ]
    if problems:
        raise ConfigError("configuration", problems)
    return config


def _override(document: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    problems = []
    for variable in sorted(environ):
        if not variable.startswith(f"{PREFIX}_"):
            continue
        section, _, key = variable.removeprefix(f"{PREFIX}_").lower().partition("_")
        field = ControlPlaneConfig.model_fields.get(section)
        known = {} if field is None else field.annotation.model_fields  # type: ignore[union-attr]  # all are sections
        if key not in known:
            problems.append(f"{variable}: no setting has this variable")
            continue
        document.setdefault(section, {})[key] = environ[variable]
    return problems


def _anchored(document: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """Relative paths start from the file's folder."""
    if path is None:
        return document
    base = path.parent.absolute()
    for section, key in _PATHS:
        value = document.get(section, {}).get(key)
        if isinstance(value, str) and value:
            document[section][key] = base / value
    return document


def _told(entry: Any) -> str:
    where = ".".join(str(part) for part in entry["loc"])
    shown = "" if entry["type"] in ("extra_forbidden", "missing", "value_error") else f" = {entry['input']!r}"
    return f"{where}{shown}: {entry['msg']}"
