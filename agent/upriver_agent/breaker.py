"""A circuit breaker per upstream: one that keeps failing is left alone for a while, so that it costs no caller's time.

After FAILURES_TO_OPEN failures in a row the breaker opens. When its pause is over one question is let through to try;
while that one is out, the others still find it open. An answer closes it, a failure doubles the pause (Nygard, Release
It!).
"""

import math
from dataclasses import dataclass

from upriver.errors import DeadlineExpired, Unreachable, UpriverError

FAILURES_TO_OPEN = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
FAIR_S = 0.5
"""Time that an upstream must have been given before a missed deadline says something about it and not the caller."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is remembered of one upstream: failures in a row, and until when (monotonic seconds) it is left alone."""

    failures: int = 0
    open_until_s: float = -math.inf

    def is_open(self, now_s: float) -> bool:
        """Whether the upstream must not be asked now."""
        return now_s < self.open_until_s

    def asked(self, now_s: float) -> "Breaker":
        """The breaker once the upstream is asked: if that is a try after a pause, it is the only one."""
        if self.failures < FAILURES_TO_OPEN:
            return self
        return Breaker(self.failures, now_s + self.pause_s)

    def failed(self, now_s: float) -> "Breaker":
        """The breaker after a failure that `counts`."""
        after = Breaker(self.failures + 1, self.open_until_s)
        return after.asked(now_s)

    @property
    def pause_s(self) -> float:
        """How long an upstream with that many failures is left alone: doubling, within [FIRST, LONGEST]_PAUSE_S."""
        doublings = min(max(self.failures - FAILURES_TO_OPEN, 0), 30)
        return min(FIRST_PAUSE_S * 2.0**doublings, LONGEST_PAUSE_S)


CLOSED = Breaker()
"""A breaker that knows nothing bad; what every answer resets it to."""


def counts(failure: UpriverError, timeout_s: float) -> bool:
    """Whether a failure speaks against the upstream, which was given `timeout_s` to answer.

    A full upstream is alive and says so at once; that a caller cancelled or was in a hurry is not its fault.
    """
    if isinstance(failure, DeadlineExpired):
        return timeout_s >= FAIR_S
    return isinstance(failure, Unreachable)
