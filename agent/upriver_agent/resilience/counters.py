"""What the mechanisms decided since the agent started: the one place that status and metrics read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Counts of decisions. Whoever owns one adds under its own lock; a reader may see them a moment apart."""

    asked: int = 0
    """Calls to upstreams, second ones included."""
    bytes_up: int = 0
    """Bytes of the questions that went up with those calls, envelopes included."""
    answered: int = 0
    failed: int = 0
    timed_out: int = 0
    upstream_full: int = 0
    """Calls that an upstream refused for lack of room."""
    refused: int = 0
    """Calls that an upstream did not take for another reason."""
    retries: int = 0
    hedges: int = 0
    hedges_won: int = 0
    budget_denied: int = 0
    """Second tries that there was no budget for."""
    breaker_opened: int = 0
    breaker_closed: int = 0
    ejected: int = 0
    held_back: int = 0
    """Times that an upstream was passed over because it had as many questions as it takes, or its breaker was open."""

    def snapshot(self) -> Mapping[str, int]:
        """All of them by name."""
        return asdict(self)


@dataclass(slots=True)
class AdmissionCounters:
    """What was refused to callers."""

    over_share: int = 0
    """Requests of callers that had their share of the last places."""
    full: int = 0
    """Requests that came when there was no place at all."""
    sources_limited: int = 0
    """Questions of agents below that escalated faster than they may."""

    def snapshot(self) -> Mapping[str, int]:
        """All of them by name."""
        return asdict(self)
