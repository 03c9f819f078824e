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
class Counters:
    """What a pair has done since it became active.

    Bucket b of `latency_buckets` counts runs of the model that took from 2^(b/4) to 2^((b+1)/4) µs.
    """

    rows: int = 0
    escalated_rows: int = 0
    failures: int = 0
    latency_buckets: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """One model's slot on an agent.

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


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent.

    `labels` include `agent`, `tier` and `region`; `last_seen` is a Unix time of the control plane's clock.
    """

    agent: str
    labels: Mapping[str, str]
    connected: bool
    last_seen: float
    slots: Mapping[str, SlotFacts] = field(default_factory=dict)
