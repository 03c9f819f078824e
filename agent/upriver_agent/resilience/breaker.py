"""The circuit breaker of one upstream: one that fails is left alone for a while, and then tried by one question.

Closed, open, half-open (Nygard, "Release It!", 2007). It opens after failures in a row, or when too large a share of
the calls of a window failed. The pause doubles with every time that it opens again, with chance in it so that many
agents do not come back at once (Brooker, "Exponential Backoff And Jitter", 2015, equal jitter). After the pause one
question is the trial, and everyone else is refused until its end is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from upriver_agent import document as doc
from upriver_agent.resilience.window import Window


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When an upstream is left alone, and for how long.

    `failures` in a row open the breaker: fewer react sooner, more forgive a short hiccup. So does a share of at least
    `failure_share` of the calls in the last `window_s`, when they were at least `min_calls`: it sees an upstream that
    fails often and not always. `first_pause_s` is the first pause, doubled each time up to `longest_pause_s`: short
    ones notice a recovery soon and cost a question each that meets a dead upstream.
    """

    failures: int = doc.setting(doc.whole(1, 10_000), 5)
    failure_share: float = doc.setting(doc.number(0.01, 1), 0.5)
    window_s: float = doc.setting(doc.number(0.1, 3600), 10.0)
    min_calls: int = doc.setting(doc.whole(1, 1_000_000), 20)
    first_pause_s: float = doc.setting(doc.number(0.001, 3600), 0.5)
    longest_pause_s: float = doc.setting(doc.number(0.001, 3600), 5.0)


class State(Enum):
    """Where a breaker stands."""

    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


class Breaker:
    """One upstream's breaker.

    A question that is let through gets a pass, which it brings back with how it ended. What was let through before the
    breaker last changed says nothing any more: its pass is out of date.
    """

    __slots__ = ("_closed_at", "_epoch", "_in_a_row", "_opened", "_rules", "_state", "_trial", "_until", "_window")

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._state = State.CLOSED
        self._epoch = 0
        self._in_a_row = 0
        self._window = Window(rules.window_s)
        self._opened = 0  # times in a row that it opened, for the pause
        self._until = 0.0
        self._closed_at = 0.0
        self._trial = False

    def state(self, now: float) -> State:
        """Where it stands: an open one is half-open once its pause is over."""
        if self._state is State.OPEN and now >= self._until:
            return State.HALF_OPEN
        return self._state

    def blocks(self, now: float) -> bool:
        """Whether `begin` would refuse."""
        return self._state is not State.CLOSED and (self._trial or now < self._until)

    def begin(self, now: float) -> int | None:
        """Lets a question through: its pass; None while the upstream is to be left alone."""
        if self.blocks(now):
            return None
        if self._state is not State.CLOSED:
            self._state = State.HALF_OPEN
            self._trial = True
        return self._epoch

    def succeeded(self, granted: int, now: float) -> bool:
        """The upstream answered in time; True when that closes the breaker."""
        if granted != self._epoch:
            return False
        if self._state is State.HALF_OPEN:
            self._change(State.CLOSED)
            self._closed_at = now
            self._window.clear()
            return True
        self._in_a_row = 0
        self._window.add(now, failed=False)
        return False

    def failed(self, granted: int, now: float, chance: Callable[[], float], in_share: bool = True) -> bool:
        """The upstream failed; True when that opens the breaker. `chance` gives a number in [0, 1).

        What is not `in_share` counts among the failures in a row only: one that was merely slower than another.
        """
        if granted != self._epoch:
            return False
        if self._state is State.HALF_OPEN:
            self._open(now, chance)
            return True
        self._in_a_row += 1
        if in_share:
            self._window.add(now, failed=True)
        calls, failures = self._window.counts(now)
        often = calls >= self._rules.min_calls and failures >= self._rules.failure_share * calls
        if self._in_a_row < self._rules.failures and not (often and in_share):
            return False
        self._open(now, chance)
        return True

    def released(self, granted: int) -> None:
        """The question ended in a way that says nothing of the upstream; if it was the trial, another may be."""
        if granted == self._epoch:
            self._trial = False

    def _open(self, now: float, chance: Callable[[], float]) -> None:
        rules = self._rules
        if self._state is State.CLOSED and now - self._closed_at >= rules.longest_pause_s:
            self._opened = 0  # it was well for long; one that flaps keeps its long pauses
        pause = min(rules.longest_pause_s, rules.first_pause_s * 2.0 ** min(self._opened, 32))
        self._opened += 1
        self._until = now + pause * (0.5 + 0.5 * chance())
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self._state = state
        self._epoch += 1
        self._in_a_row = 0
        self._trial = False
