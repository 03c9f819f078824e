"""What becomes of a ticket: when it is asked again, what it is worth keeping, and who may close it. Pure.

A ticket is one question (one row of a request) that its touch point could not answer for sure. It is open until it is
answered, grows too old (expired) or is put out to make room (dropped); nothing opens it again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from upriver.backoff import full_jitter_s
from upriver.parameters import Reason

DOUBT_S: Final = 3600.0
"""How much younger a guess without any certainty counts than a sure one, when room is made."""
FIRST_S: Final = 1.0
LONGEST_UPSTREAM_S: Final = 30.0
LONGEST_MODEL_S: Final = 3600.0
FORGIVEN: Final = 10
"""A ticket that failed so often waits for its own time even when an upstream has just returned: it may be the one whose
input makes upstreams fail."""


class State(IntEnum):
    """Where a ticket is."""

    OPEN = 1
    ANSWERED = 2
    EXPIRED = 3
    DROPPED = 4


class Waiting(IntEnum):
    """What a ticket waits for."""

    UPSTREAM = 1
    """Nobody above could be asked: to be asked again when somebody can."""
    MODEL = 2
    """Everybody who may be asked was, and nobody was sure: to be asked again when a pair changes, here or above."""


class Worth(IntEnum):
    """What a ticket is worth keeping, the least first."""

    DELIVERED = 0
    """Answered, and the answer was given to somebody."""
    GUESS = 1
    """Nobody has asked about it; every tier has had its chance."""
    CUT_OFF = 2
    """Nobody has asked about it; it was never seen by the tiers above."""
    WANTED = 3
    """Somebody waits for it or asked about it."""


_CUT_OFF: Final = frozenset(
    {
        Reason.UPSTREAM_DOWN,
        Reason.BREAKER_OPEN,
        Reason.UPSTREAM_FULL,
        Reason.DEADLINE,
        Reason.REGION,
        Reason.ALARM,
    }
)


def waiting_for(reason: Reason) -> Waiting:
    """What a question that ended unresolved for this reason waits for.

    Hops and bytes that have run out stay so however often it is asked, so such a question waits for a better model.
    """
    return Waiting.UPSTREAM if reason in _CUT_OFF else Waiting.MODEL


def worth_of(waiting: Waiting, wanted: bool) -> Worth:
    """What an open ticket is worth."""
    if wanted:
        return Worth.WANTED
    return Worth.CUT_OFF if waiting is Waiting.UPSTREAM else Worth.GUESS


def rank_of(created_at: float, confidence: float) -> float:
    """Among tickets of the same worth the one with the lowest rank goes first: the oldest, or the surest guess.

    `confidence` counts between 0 and 1; what is below is no certainty at all.
    """
    doubt = 1.0 - min(max(confidence, 0.0), 1.0)
    return created_at + DOUBT_S * doubt


@dataclass(frozen=True, slots=True)
class Course:
    """Where an open ticket stands. `epoch` counts the changes of pairs that were known when it was last asked.

    It is not asked before `next_at`, a Unix time in seconds.
    """

    waiting: Waiting
    epoch: int
    attempts: int = 0
    next_at: float = 0.0


def asked_again(course: Course, reason: Reason | None, epoch: int, now: float, chance: float) -> Course:
    """After it was asked again and is still unresolved, for `reason`; None when it failed with an error.

    `epoch` is that at which it was asked, `chance` a number in [0, 1).
    """
    attempts = course.attempts + 1
    waiting = course.waiting if reason is None else waiting_for(reason)
    cut_off = reason is not None and waiting is Waiting.UPSTREAM
    longest = LONGEST_UPSTREAM_S if cut_off else LONGEST_MODEL_S
    pause = full_jitter_s(attempts, FIRST_S, longest, lambda: 0.5 + chance / 2)
    seen = course.epoch if reason is None or cut_off else epoch
    return Course(waiting, seen, attempts, now + pause)


def is_due(course: Course, epoch: int, way_up: bool, now: float) -> bool:
    """Whether an open ticket may be asked again now: `way_up` says whether somebody above can be expected to answer.

    A time that lies further ahead than any pause was noted by a clock that has been set back since.
    """
    if now < course.next_at <= now + LONGEST_MODEL_S:
        return False
    return epoch > course.epoch or (course.waiting is Waiting.UPSTREAM and way_up)


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether those above can be expected to answer for one model: shut by failures, tried again after a pause.

    Times are those of a steady clock, in seconds.
    """

    failures: int = 0
    try_at: float = 0.0
    trying: bool = False

    def may_pass(self, now: float) -> bool:
        """Whether a ticket may be sent up now; while the gate is shut one at a time, as a trial."""
        return not self.shut or (not self.trying and now >= self.try_at)

    def sent(self) -> "Gate":
        """After one was sent up."""
        return replace(self, trying=True) if self.shut else self

    def let_go(self) -> "Gate":
        """After one that was sent came back and told nothing of those above."""
        return replace(self, trying=False)

    def reached(self) -> "Gate":
        """After somebody above has answered."""
        return Gate()

    def failed(self, now: float, chance: Callable[[], float]) -> "Gate":
        """After nobody above answered: the first failure may be the ticket's own, the second shuts the gate."""
        failures = self.failures + 1
        pause = full_jitter_s(failures - 1, FIRST_S, LONGEST_UPSTREAM_S, lambda: 0.5 + chance() / 2)
        return Gate(failures, now + pause)

    @property
    def shut(self) -> bool:
        """Whether nobody above is expected to answer."""
        return self.failures >= 2


@dataclass(frozen=True, slots=True)
class Pace:
    """A token bucket: so many a second, and after a rest at most a second's worth at once."""

    per_s: float
    tokens: float = 1.0
    at: float = 0.0

    def at_time(self, now: float) -> "Pace":
        """What has come together by now, on a steady clock."""
        gained = max(0.0, now - self.at) * self.per_s
        return replace(self, tokens=min(max(1.0, self.per_s), self.tokens + gained), at=now)

    def take(self) -> "Pace | None":
        """After one was taken; None when there is none."""
        return replace(self, tokens=self.tokens - 1.0) if self.tokens >= 1.0 else None

    def next_in_s(self) -> float:
        """Seconds until there is one to take; infinite when none comes."""
        if self.tokens >= 1.0:
            return 0.0
        return (1.0 - self.tokens) / self.per_s if self.per_s > 0 else float("inf")
