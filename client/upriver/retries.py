"""Whom to ask next when an agent could not answer, and after how long: pure, with time and chance as arguments."""

from collections.abc import Sequence
from dataclasses import dataclass

from upriver.errors import DeadlineExpired, UpriverError
from upriver.refusals import REPEATABLE, unreachable

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Ask the agent at this place in the list of addresses, after waiting `wait_s`."""

    at: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Attempts:
    """One call's way around `agents` addresses, from `first` on, at most 1 + `retries` times round.

    Before another round there is a wait, exponential with full jitter: a share by chance of FIRST_WAIT_S doubled every
    round, never more than LONGEST_WAIT_S (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """

    agents: int
    first: int
    retries: int
    deadline: float
    """When the caller stops waiting, on the clock that `now` is read from, in seconds."""
    done: int = 0

    @property
    def at(self) -> int:
        """The place of the agent to ask now."""
        return (self.first + self.done) % self.agents

    def failed(self, now: float, chance: float) -> "tuple[Attempts, TryAgain | None]":
        """The state after an attempt that may be repeated, and what to do: None is give up.

        `chance` is uniform in [0, 1). A wait that would outlast the deadline is not begun.
        """
        done = self.done + 1
        after = Attempts(self.agents, self.first, self.retries, self.deadline, done)
        rounds, within = divmod(done, self.agents)
        if rounds > self.retries:
            return after, None
        wait_s = 0.0
        if within == 0:
            wait_s = chance * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(rounds - 1, 32))
        if now + wait_s >= self.deadline:
            return after, None
        return after, TryAgain(after.at, wait_s)


class Way:
    """One call on its way: whom to ask now, with how much time, and what went wrong so far. Does no I/O."""

    def __init__(self, addresses: Sequence[str], first: int, retries: int, deadline: float) -> None:
        self._addresses = addresses
        self._attempts = Attempts(len(addresses), first, retries, deadline)
        self._failures: dict[str, UpriverError] = {}

    @property
    def at(self) -> int:
        """The place of the agent to ask now."""
        return self._attempts.at

    @property
    def address(self) -> str:
        """The address of the agent to ask now."""
        return self._addresses[self.at]

    def time_left_s(self, now: float) -> float:
        """Seconds that are left for the call; raises DeadlineExpired when there are none."""
        left_s = self._attempts.deadline - now
        if left_s <= 0:
            raise DeadlineExpired(f"no time was left to ask (agent {self.address})")
        return left_s

    def failed(self, error: UpriverError, now: float, chance: float) -> float:
        """Moves on after an error, giving the seconds to wait; raises when there is nobody to ask or no time."""
        if not isinstance(error, REPEATABLE):
            raise error
        self._failures[self.address] = error
        self._attempts, step = self._attempts.failed(now, chance)
        if step is None:
            raise unreachable(self._failures)
        return step.wait_s
