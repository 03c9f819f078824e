"""What agents say of themselves, as plain values: what rollouts are judged by and the fleet's view is made of.

Times are seconds of the control plane's own clocks; an agent's clock is never believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SlotState(StrEnum):
    """How far a pair has come on an agent."""

    EMPTY = "empty"
    STAGING = "staging"
    STAGED = "staged"
    VERIFIED = "verified"
    WARMED = "warmed"
    ACTIVE = "active"
    RETIRED = "retired"
    FAILED = "failed"


class Failure(StrEnum):
    """Why a pair failed."""

    NONE = ""
    UNFIT = "unfit"
    UNAVAILABLE = "unavailable"
    UNTRUSTED = "untrusted"
    SELF_TEST = "self-test"
    GOLDEN = "golden"
    SHADOW = "shadow"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Pair:
    """A version and its policy. `version` is `models/{model}/versions/{version}`; an empty policy is the manifest's."""

    version: str
    version_digest: str
    policy_document: str = ""

    def is_same(self, other: "Pair | None") -> bool:
        """Whether both are the same content: digest and policy, whatever the names."""
        return other is not None and (self.version_digest, self.policy_document) == (
            other.version_digest,
            other.policy_document,
        )


@dataclass(frozen=True, slots=True)
class Activation:
    """How a warmed pair becomes active: after shadowing the active one for `shadow_s`, or on `shadow_rows` rows.

    With `shadow_rows` compared, an agreement below `min_agreement` (0 to 1) fails it.
    """

    shadow_s: float = 0.0
    shadow_rows: int = 0
    min_agreement: float = 0.0


@dataclass(frozen=True, slots=True)
class Desired:
    """What an agent's slot should run; `pair` None is nothing. `rollout` is the id of the one that wants it."""

    pair: Pair | None
    rollout: str
    generation: int
    activation: Activation = Activation()


@dataclass(frozen=True, slots=True)
class Counters:
    """What a pair has done since it became active.

    Bucket b of `latency_buckets` counts runs of the model that took from 2^(b/4) to 2^((b+1)/4) µs.
    """

    rows: int = 0
    escalated_rows: int = 0
    failures: int = 0
    latency_buckets: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MonitorFacts:
    """What an agent's audits say of its active pair. `alarm_since` is a Unix time of the agent's clock, 0.0 for never.

    `note` says what is watched when that is not the policy's certificate, or why nothing is; `trouble` why audits can't
    be made now.
    """

    note: str = ""
    watched: bool = False
    audits: int = 0
    disagreements: int = 0
    log_e_value: float = 0.0
    log_shiryaev_roberts: float = 0.0
    alarm_since: float = 0.0
    rate: float = 0.0
    warnings: tuple[str, ...] = ()
    waiting: int = 0
    dropped: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class RefinedFacts:
    """What an agent has made of its active pair by what it learnt: another head under another policy, which answers.

    The policy document names the head and has its certificate. `since` is a Unix time of the agent's clock.
    """

    policy_document: str
    lessons: int = 0
    attempt: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """One model's slot on an agent.

    `active` is what was assigned and is active, also while a pair that was `refined` from it answers; `unrefined` says
    why the last one answers no more. `monitor` is of what answers.

    `shadow_rows` and `shadow_agreed` compare the candidate (once it is active: the active pair) with what was active.
    """

    active: Pair | None = None
    previous: Pair | None = None
    candidate: Pair | None = None
    state: SlotState = SlotState.EMPTY
    failure: Failure = Failure.NONE
    reason: str = ""
    generation: int = 0
    counters: Counters = Counters()
    shadow_rows: int = 0
    shadow_agreed: int = 0
    active_for_s: float = 0.0
    monitor: MonitorFacts = MonitorFacts()
    refined: RefinedFacts | None = None
    unrefined: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What an agent runs on; sizes in bytes."""

    machine: str = ""
    cores: int = 0
    memory_bytes: int = 0
    disk_budget_bytes: int = 0
    runtime: str = ""
    runtime_version: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of blobs that an agent has received since its process started, and those that deltas made needless."""

    from_control_plane: int = 0
    from_agents: int = 0
    saved_by_deltas: int = 0


@dataclass(frozen=True, slots=True)
class PoolingFacts:
    """How an agent pools what it and those below it have learnt.

    `parent` is whom it sends to, `standing` what became of it, `agents` count in it; `trouble` says why nothing gets
    through. One lesson is hidden by (`epsilon`, `delta`)-differential privacy; zeros for not at all.
    """

    parent: str = ""
    standing: str = ""
    children: int = 0
    agents: int = 0
    trouble: str = ""
    epsilon: float = 0.0
    delta: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent.

    `labels` include `agent`, `tier` and `region`; `last_seen` is a Unix time of the control plane's clock. `refusal`
    says why it refused the last world that it was sent; empty when it did not. `boot` names the run of its process,
    `connected_since` is when its latest stream began, as `last_seen` is told. `lessons` are those that it keeps, by
    model.
    """

    agent: str
    labels: Mapping[str, str]
    connected: bool
    last_seen: float
    slots: Mapping[str, SlotFacts] = field(default_factory=dict)
    tiers: tuple[str, ...] = ()
    address: str = ""
    tls: bool = False
    protocol: int = 1
    program_version: str = ""
    boot: str = ""
    hardware: Hardware = Hardware()
    load: float = 0.0
    draining: bool = False
    refusal: str = ""
    connected_since: float = 0.0
    traffic: Traffic = Traffic()
    decisions: Mapping[str, int] = field(default_factory=dict)
    pooling: PoolingFacts = PoolingFacts()
    lessons: Mapping[str, int] = field(default_factory=dict)

    @property
    def tier(self) -> str:
        """Its tier."""
        return self.labels["tier"]

    @property
    def region(self) -> str:
        """Its region."""
        return self.labels["region"]
