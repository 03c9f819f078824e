"""Everything that is learnt about one upstream from how the calls to it end: its breaker, its limit, its latency."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from upriver.parameters import Reason
from upriver_agent.resilience.breaker import Breaker, State
from upriver_agent.resilience.hedging import MIN_WEIGHT, QUANTILE
from upriver_agent.resilience.latency import Latency
from upriver_agent.resilience.limit import Limit
from upriver_agent.resilience.settings import ResilienceSection


class Ending(Enum):
    """How a call ended."""

    ANSWERED = auto()
    FAILED = auto()
    """It could not be reached, broke, or gave what can't be used."""
    TIMED_OUT = auto()
    """It did not answer in the time that it was given."""
    OVERTAKEN = auto()
    """It had not answered yet when one that was asked later did."""
    FULL = auto()
    """It has no room: that is load, and no failure."""
    REFUSED = auto()
    """It did not take the question, and said so: it is alive, and the question is the trouble."""
    CUT_SHORT = auto()
    """Nobody waited any longer: that says nothing of it."""


class Change(Enum):
    """What became of a breaker."""

    OPENED = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Pass:
    """What lets a question through to an upstream; `trial` when the breaker's end depends on it.

    `taken` is how many questions the upstream had then, this one included.
    """

    epoch: int
    trial: bool
    taken: int


class Watch:
    """One upstream."""

    __slots__ = ("breaker", "latency", "limit")

    def __init__(self, settings: ResilienceSection) -> None:
        self.breaker = Breaker(settings.breaker)
        self.limit = Limit(settings.limit)
        self.latency = Latency(settings.hedging.half_life_s)

    def obstacle(self, now: float) -> Reason | None:
        """Why `begin` would refuse."""
        if self.breaker.blocks(now):
            return Reason.BREAKER_OPEN
        return Reason.UPSTREAM_FULL if self.limit.full else None

    def begin(self, now: float) -> Pass | Reason:
        """Claims a place: a pass, or why there is none."""
        if self.limit.full and not self.breaker.blocks(now):
            return Reason.UPSTREAM_FULL
        epoch = self.breaker.begin(now)
        if epoch is None:
            return Reason.BREAKER_OPEN
        return Pass(epoch, self.breaker.state(now) is State.HALF_OPEN, self.limit.begin())

    def usual_s(self, now: float) -> float | None:
        """What it takes at most, 95 times of 100; None while too little is known."""
        return self.latency.quantile(QUANTILE) if self.latency.weight(now) >= MIN_WEIGHT else None

    def median_s(self, now: float) -> float | None:
        """What half of the calls take at most; None while too little is known."""
        return self.latency.quantile(0.5) if self.latency.weight(now) >= MIN_WEIGHT else None

    def ended(
        self, granted: Pass, ending: Ending, seconds: float, now: float, chance: Callable[[], float]
    ) -> Change | None:
        """Takes in how a call ended after so many seconds; gives what it changed."""
        opened = False
        match ending:
            case Ending.ANSWERED:
                self.latency.observe(now, seconds)
                self.limit.answered(seconds, granted.taken)
                return self._alive(granted, now)
            case Ending.FULL:
                self.limit.dropped()
                return self._alive(granted, now)
            case Ending.REFUSED:
                self.limit.released()
                return self._alive(granted, now)
            case Ending.FAILED:
                self.limit.released()
                opened = self.breaker.failed(granted.epoch, now, chance)
            case Ending.TIMED_OUT:
                self.latency.observe(now, seconds)
                self.limit.dropped()
                opened = self.breaker.failed(granted.epoch, now, chance)
            case Ending.OVERTAKEN:
                # Its time is cut short. Left out, only quick answers would count, and the wait for the next hedge
                # would get shorter each time.
                self.latency.observe(now, seconds)
                self.limit.released()
                opened = self.breaker.failed(granted.epoch, now, chance, in_share=False)
            case Ending.CUT_SHORT:
                self.limit.released()
                self.breaker.released(granted.epoch)
        return Change.OPENED if opened else None

    def _alive(self, granted: Pass, now: float) -> Change | None:
        return Change.CLOSED if self.breaker.succeeded(granted.epoch, now) else None
