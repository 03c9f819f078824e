"""What all jobs have in common: a state, how far they are, and the lease of the process that works on one. Pure.

Times are Unix times in seconds, shares 0 to 1.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, TypeVar

from upriver.errors import NotNow


class JobState(StrEnum):
    """What a job is doing."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Work:
    """A job of some kind. `owner` is the process that works on it until `until`, `attempt` how often it was begun.

    `log` has the last lines of what it printed, where that is kept, of `logged` in all.
    """

    id: str
    model: str
    created: float
    state: JobState = field(default=JobState.PENDING, kw_only=True)
    reason: str = field(default="", kw_only=True)
    doing: str = field(default="", kw_only=True)
    progress: float = field(default=0.0, kw_only=True)
    updated: float = field(default=0.0, kw_only=True)
    ended: float | None = field(default=None, kw_only=True)
    revision: int = field(default=0, kw_only=True)
    owner: str = field(default="", kw_only=True)
    until: float = field(default=0.0, kw_only=True)
    attempt: int = field(default=0, kw_only=True)
    log: tuple[str, ...] = field(default=(), kw_only=True)
    logged: int = field(default=0, kw_only=True)

    @property
    def collection(self) -> str:
        """What its kind is called in names of resources."""
        return "jobs"

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"models/{self.model}/{self.collection}/{self.id}"

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


W = TypeVar("W", bound=Work)


def cancelled(job: W, now: float) -> W:
    """The same, cancelled; raises NotNow when it has ended otherwise."""
    if job.state is JobState.CANCELLED:
        return job
    if job.has_ended:
        raise NotNow(f"{job.name} has {job.state.value} already")
    return replace(job, state=JobState.CANCELLED, reason="somebody cancelled it", doing="", updated=now, ended=now)


def failed(job: W, reason: str, now: float) -> W:
    """The same, failed."""
    return replace(job, state=JobState.FAILED, reason=reason, doing="", updated=now, ended=now)
