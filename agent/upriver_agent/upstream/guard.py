"""What an agent has learnt about its upstreams, behind one lock: whom to leave alone, whom to give no more, how long
to wait for each, and whether a question may be asked twice."""

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from upriver.discovery.port import AgentRecord
from upriver.parameters import Reason
from upriver_agent.balance import NOBODY, Avoid
from upriver_agent.resilience.budget import Budget
from upriver_agent.resilience.counters import Counters
from upriver_agent.resilience.ejection import Ejections
from upriver_agent.resilience.hedging import HedgingRules, hedge_delay_s
from upriver_agent.resilience.race import Cause
from upriver_agent.resilience.settings import ResilienceSection
from upriver_agent.resilience.watch import Change, Ending, Pass, Watch

_LOG = logging.getLogger(__name__)
_MAX_WATCHED = 256
"""Upstreams that are remembered; the least recently asked is forgotten."""
_MAX_NAMED = 64
_OTHERS = "other"

Key = tuple[str, str]
Peers = Callable[[AgentRecord], Sequence[AgentRecord]]


@dataclass(frozen=True, slots=True)
class Permit:
    """A place with an upstream, to be brought back once by `ended`."""

    record: AgentRecord
    watch: Watch
    granted: Pass
    since: float

    @property
    def trial(self) -> bool:
        """Whether it tries an upstream that was left alone."""
        return self.granted.trial


@dataclass(frozen=True, slots=True)
class Effect:
    """What the end of a call changed."""

    change: Change | None = None
    ejected: tuple[str, ...] = ()
    """Agents that are left out from now on."""


NO_EFFECT = Effect()


class _Trouble(Enum):
    """In the order of Avoid's fields."""

    BROKEN = auto()
    FULL = auto()
    EJECTED = auto()


class Guard:
    """The upstreams of one agent. `clock` gives seconds, `chance` a number in [0, 1)."""

    def __init__(
        self,
        settings: ResilienceSection,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.counters = Counters()
        self._bytes_to: dict[str, int] = {}
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._budget = Budget(settings.retries, clock())
        self._watched: OrderedDict[Key, Watch] = OrderedDict()
        self._ejections: dict[str, Ejections[Key]] = {}

    @property
    def hedging(self) -> HedgingRules:
        """When a second upstream is asked."""
        return self._settings.hedging

    def now(self) -> float:
        """The time, by the clock that everything here goes by."""
        return self._clock()

    def avoid(self, records: Sequence[AgentRecord]) -> Avoid:
        """Which of these not to ask now, or only when there is no other."""
        with self._lock:
            now = self._clock()
            bad = {key: why for key, watch in self._watched.items() if (why := self._trouble(key, watch, now))}
        if not bad:
            return NOBODY  # as nearly always: no look at the records, which may be many
        found = [(record.agent, bad[_key(record)]) for record in records if _key(record) in bad]
        return Avoid(*(frozenset(agent for agent, why in found if why is kind) for kind in _Trouble))

    def begin(self, record: AgentRecord) -> Permit | Reason:
        """Claims a place with an upstream; gives why there is none."""
        with self._lock:
            now = self._clock()
            watch = self._watch(_key(record))
            granted = watch.begin(now)
            if isinstance(granted, Reason):
                self.counters.held_back += 1
                return granted
            return Permit(record, watch, granted, now)

    def asked(self, cause: Cause, sent_bytes: int, agent: str) -> None:
        """An upstream was asked; the first time for a question earns a share of a second try."""
        with self._lock:
            self.counters.asked += 1
            self.counters.bytes_up += sent_bytes
            name = agent if agent in self._bytes_to or len(self._bytes_to) < _MAX_NAMED else _OTHERS
            self._bytes_to[name] = self._bytes_to.get(name, 0) + sent_bytes
            self.counters.retries += cause is Cause.RETRY
            self.counters.hedges += cause is Cause.HEDGE
            if cause is Cause.FIRST:
                self._budget.earn(self._clock())

    def won(self, cause: Cause) -> None:
        """An upstream's answer is the one that counts."""
        if cause is Cause.HEDGE:
            with self._lock:
                self.counters.hedges_won += 1

    def afford(self) -> bool:
        """Takes a second try out of the budget; False when there is none."""
        with self._lock:
            if self._budget.take(self._clock()):
                return True
            self.counters.budget_denied += 1
            return False

    def usual_s(self, record: AgentRecord) -> tuple[float | None, float | None]:
        """What an upstream takes at most 95 times of 100, and half of the times; None while that is not known."""
        with self._lock:
            watch = self._watched.get(_key(record))
            if watch is None:
                return None, None
            now = self._clock()
            return watch.usual_s(now), watch.median_s(now)

    def bytes_to(self) -> dict[str, int]:
        """Bytes of the questions that went up since the start, by the agent that was asked; later ones are `other`."""
        with self._lock:
            return dict(self._bytes_to)

    def left_alone(self) -> dict[str, bool]:
        """Of every upstream that is remembered, whether its breaker keeps questions from it."""
        with self._lock:
            now = self._clock()
            return {agent: watch.breaker.blocks(now) for (agent, _), watch in self._watched.items()}

    def was_patient(self, record: AgentRecord, timeout_s: float) -> bool:
        """Whether who got so little time and did not answer is to blame: a caller in a hurry says nothing of it."""
        usual_s, _ = self.usual_s(record)
        return timeout_s >= hedge_delay_s(self._settings.hedging, usual_s)

    def ended(self, permit: Permit, ending: Ending, peers: Peers = lambda record: (record,)) -> Effect:
        """Brings a place back, with how the call ended; `peers` gives the upstreams of its tier."""
        with self._lock:
            now = self._clock()
            seconds = max(0.0, now - permit.since)
            self._count(ending)
            change = permit.watch.ended(permit.granted, ending, seconds, now, self._chance)
            ejected = self._judge(permit.record, ending, seconds, now, peers)
            self.counters.breaker_opened += change is Change.OPENED
            self.counters.breaker_closed += change is Change.CLOSED
            self.counters.ejected += len(ejected)
        if change is None and not ejected:
            return NO_EFFECT
        _tell(permit.record.agent, change, ejected)
        return Effect(change, ejected)

    def _watch(self, key: Key) -> Watch:
        watch = self._watched.get(key)
        if watch is None:
            if len(self._watched) >= _MAX_WATCHED:
                self._forget_one()
            watch = self._watched[key] = Watch(self._settings)
        self._watched.move_to_end(key)
        return watch

    def _forget_one(self) -> None:
        idle = next((key for key, watch in self._watched.items() if watch.limit.inflight == 0), None)
        del self._watched[idle if idle is not None else next(iter(self._watched))]

    def _trouble(self, key: Key, watch: Watch, now: float) -> _Trouble | None:
        obstacle = watch.obstacle(now)
        if obstacle is not None:
            return _Trouble.BROKEN if obstacle is Reason.BREAKER_OPEN else _Trouble.FULL
        if any(ejections.is_out(key, now) for ejections in self._ejections.values()):
            return _Trouble.EJECTED
        return None

    def _judge(self, record: AgentRecord, ending: Ending, seconds: float, now: float, peers: Peers) -> tuple[str, ...]:
        if ending in (Ending.CUT_SHORT, Ending.REFUSED, Ending.FULL):
            return ()
        ejections = self._ejections.get(record.tier)
        if ejections is None:
            ejections = self._ejections[record.tier] = Ejections(self._settings.ejection, now)
        ejections.observe(_key(record), seconds, failed=ending is not Ending.ANSWERED)
        if not ejections.due(now):
            return ()
        return tuple(agent for agent, _ in ejections.look(now, [_key(peer) for peer in peers(record)]))

    def _count(self, ending: Ending) -> None:
        counters = self.counters
        match ending:
            case Ending.ANSWERED:
                counters.answered += 1
            case Ending.FAILED:
                counters.failed += 1
            case Ending.TIMED_OUT:
                counters.timed_out += 1
            case Ending.FULL:
                counters.upstream_full += 1
            case Ending.REFUSED:
                counters.refused += 1
            case Ending.OVERTAKEN | Ending.CUT_SHORT:
                pass


def _key(record: AgentRecord) -> Key:
    return record.agent, record.address


def _tell(agent: str, change: Change | None, ejected: Sequence[str]) -> None:
    if change is Change.OPENED:
        _LOG.warning("upstream %s keeps failing: it is left alone for a while", agent)
    elif change is Change.CLOSED:
        _LOG.info("upstream %s answers again", agent)
    for name in ejected:
        _LOG.warning("upstream %s does much worse than its peers: it is left out for a while", name)
