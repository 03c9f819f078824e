"""One question's way up as a race: the first upstream, a second beside it when it is late, another when one failed.

Every try has all the time that is left, since what an upstream may take its own upstreams share: to halve it on each
tier would leave the top nothing. Instead one that is waited for too long is given up for another.

A pure state machine. Each event gives the steps to take, in order; whoever runs it takes them, and tells what became of
them by the next event. However it goes, there is exactly one `Over`, and with it a `Cancel` for every try that is still
under way. The one exception is a trial of an upstream that was left alone, with nobody else to ask: the question does
not wait for it longer than for a second upstream, and the trial goes on by itself.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from upriver.errors import DeadlineExpired, Unreachable, UpriverError
from upriver.parameters import Reason
from upriver_agent.resilience.hedging import HedgingRules, hedge_delay_s, may_hedge, patience_s

MAX_AT_ONCE = 2
"""Upstreams that are asked the same question at once."""

C = TypeVar("C")


class Cause(Enum):
    """Why an upstream is asked."""

    FIRST = auto()
    RETRY = auto()
    HEDGE = auto()


@dataclass(frozen=True, slots=True)
class Ask(Generic[C]):
    """Ask this upstream for so long."""

    number: int
    candidate: C
    timeout_s: float
    cause: Cause


@dataclass(frozen=True, slots=True)
class Wake:
    """Tell the race at this time that its try `number` has been waited for; `patient` when that was for long."""

    at_s: float
    number: int
    patient: bool


class Why(Enum):
    """Why a try is cancelled."""

    OVERTAKEN = auto()
    """One that was asked after it answered before it."""
    GIVEN_UP = auto()
    """It was waited for long enough, and another is asked instead."""
    NEEDLESS = auto()
    """It is not wanted any more, which is not its fault."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End this try."""

    number: int
    why: Why


@dataclass(frozen=True, slots=True)
class Denied:
    """A second try would have been made, and the budget has none."""


@dataclass(frozen=True, slots=True)
class Over:
    """The race is over: the try that won, None when none did."""

    winner: int | None


Step = Ask[C] | Wake | Cancel | Denied | Over


@dataclass(frozen=True, slots=True)
class Form:
    """What is known of an upstream: the time that it may use now, what it usually takes at most (95th percentile), and
    what half of its answers take at most; None where that is not known."""

    timeout_s: float
    usual_s: float | None
    median_s: float | None


class Ways(Protocol[C]):
    """What a race needs to know and have done while it decides."""

    def next(self) -> C | None:
        """The next upstream in order; None when there is none left."""
        ...

    def form(self, candidate: C, time_left_s: float) -> Form:
        """What is known of an upstream; `timeout_s` is how much of the time left it may use."""
        ...

    def begin(self, candidate: C) -> Reason | None:
        """Claims a place with an upstream; gives why there is none."""
        ...

    def is_trial(self, candidate: C) -> bool:
        """Whether the place that was claimed is for trying an upstream that was left alone."""
        ...

    def release(self, candidate: C) -> None:
        """Gives back a place that was claimed and is not used."""
        ...

    def afford(self) -> bool:
        """Takes a second try out of the budget; False when there is none."""
        ...


class Race(Generic[C]):
    """The tries of one question. `deadline_s` is when its answer is due here, by the clock of the events' `now`."""

    __slots__ = (
        "_ahead",
        "_asked",
        "_deadline_s",
        "_over",
        "_rules",
        "_running",
        "_trials",
        "_ways",
        "failures",
        "obstacles",
    )

    def __init__(self, rules: HedgingRules, deadline_s: float, ways: Ways[C]) -> None:
        self._rules = rules
        self._deadline_s = deadline_s
        self._ways = ways
        self._ahead: C | None = None
        self._asked = 0
        self._running: list[int] = []
        self._trials: set[int] = set()
        self._over = False
        self.failures: list[UpriverError] = []
        """How tries failed, in order."""
        self.obstacles: list[Reason] = []
        """Why upstreams were not asked."""

    @property
    def over(self) -> bool:
        """Whether it is decided."""
        return self._over

    def start(self, now: float) -> list[Step[C]]:
        """Asks the first."""
        if self._over:
            return []
        return self._go_on(now, Cause.FIRST)

    def failed(self, number: int, failure: UpriverError, now: float) -> list[Step[C]]:
        """A try failed: another takes its place, unless one is under way already."""
        if self._over or number not in self._running:
            return []
        self._running.remove(number)
        self.failures.append(failure)
        return [] if self._running else self._go_on(now, Cause.RETRY)

    def answered(self, number: int) -> list[Step[C]]:
        """A try was answered: it wins if it is the first."""
        if self._over or number not in self._running:
            return []
        self._running.remove(number)
        return self._end(number)

    def woken(self, number: int, patient: bool, now: float) -> list[Step[C]]:
        """A try has been waited for, and is still under way: a second is asked beside it, or at last instead of it."""
        if self._over or number not in self._running:
            return []
        if self._rules.enabled and len(self._running) < MAX_AT_ONCE:
            steps = self._second(now, Cause.HEDGE)
            if any(isinstance(step, Ask) for step in steps):
                return steps
            return [*steps, *self._leave_trial(number)]
        if not patient:
            return self._leave_trial(number)
        steps = self._second(now, Cause.RETRY)
        if any(isinstance(step, Ask) for step in steps):
            self._running.remove(number)
            self.failures.append(Unreachable("given up: no answer for too long"))
            steps.insert(0, Cancel(number, Why.GIVEN_UP))
        return steps

    def leave(self) -> list[Step[C]]:
        """Nobody waits for the answer any more."""
        return [] if self._over else self._end(None)

    def _go_on(self, now: float, cause: Cause) -> list[Step[C]]:
        while (candidate := self._take()) is not None:
            form = self._ways.form(candidate, self._deadline_s - now)
            if form.timeout_s <= 0:
                self.failures.append(DeadlineExpired("no time left to ask an upstream"))
                break
            if not self._claim(candidate):
                continue
            if cause is not Cause.FIRST and not self._ways.afford():
                self._ways.release(candidate)
                return [Denied(), *self._end(None)]
            return self._ask(candidate, form, now, cause)
        return self._end(None)

    def _second(self, now: float, cause: Cause) -> list[Step[C]]:
        while (candidate := self._take()) is not None:
            form = self._ways.form(candidate, self._deadline_s - now)
            if not may_hedge(form.timeout_s, form.median_s):
                self._ahead = candidate  # it may still be wanted when the first fails soon
                return []
            if not self._claim(candidate):
                continue
            if not self._ways.afford():
                self._ways.release(candidate)
                self._ahead = candidate
                return [Denied()]
            return self._ask(candidate, form, now, cause)
        return []

    def _ask(self, candidate: C, form: Form, now: float, cause: Cause) -> list[Step[C]]:
        number = self._asked
        self._asked += 1
        self._running.append(number)
        self._ahead = self._take()
        steps: list[Step[C]] = [Ask(number, candidate, form.timeout_s, cause)]
        trial = self._ways.is_trial(candidate)
        if trial:
            self._trials.add(number)
        if trial or (self._rules.enabled and self._ahead is not None):
            steps.append(Wake(now + hedge_delay_s(self._rules, form.usual_s), number, patient=False))
        patience = patience_s(self._rules, form.timeout_s, form.usual_s)
        if self._ahead is not None and patience < form.timeout_s:
            steps.append(Wake(now + patience, number, patient=True))
        return steps

    def _leave_trial(self, number: int) -> list[Step[C]]:
        if number not in self._trials or self._running != [number] or self._ahead is not None:
            return []
        self.obstacles.append(Reason.BREAKER_OPEN)
        self._running.clear()
        return self._end(None)

    def _claim(self, candidate: C) -> bool:
        obstacle = self._ways.begin(candidate)
        if obstacle is not None:
            self.obstacles.append(obstacle)
        return obstacle is None

    def _take(self) -> C | None:
        if self._ahead is None:
            return self._ways.next()
        ahead, self._ahead = self._ahead, None
        return ahead

    def _end(self, winner: int | None) -> list[Step[C]]:
        self._over = True
        losers = [
            Cancel(number, Why.OVERTAKEN if winner is not None and number < winner else Why.NEEDLESS)
            for number in self._running
        ]
        self._running.clear()
        return [*losers, Over(winner)]
