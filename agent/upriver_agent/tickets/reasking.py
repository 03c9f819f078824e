"""Asks tickets again in the background: when an upstream has returned, or a pair has changed, here or above.

One thread looks, about once a second while tickets are open. Few are asked at a time and so many a second, none while
callers keep the agent busy. It ends old tickets too.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from upriver import logs
from upriver.discovery.port import AgentRecord
from upriver.errors import DiskTrouble, NotFound, TicketGone
from upriver_agent.place import Place
from upriver_agent.tickets import store
from upriver_agent.tickets.asking import MAX_IN_FLIGHT, Asker
from upriver_agent.tickets.changes import Changes
from upriver_agent.tickets.desk import TicketDesk
from upriver_agent.tickets.rules import Pace, State
from upriver_agent.tickets.table import TicketDamaged

_LOG = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_SOON_S: Final = 0.1
"""Between two looks at least: of many that stir at once one look serves all."""
_SWEEP_S: Final = 60.0
_QUEUE: Final = 64
"""Tickets of a model that are looked up at a time."""
_BUSY_S: Final = 0.2
_CLOCK_JUMP_S: Final = 5.0


class Sights:
    """What is looked at: the place, the pairs that answer here by model, the agents that discovery knows.

    `busy` says whether callers need the agent for themselves.
    """

    def __init__(
        self,
        place: Place,
        own: Callable[[], Mapping[str, str]],
        agents: Callable[[], Sequence[AgentRecord]],
        busy: Callable[[], bool],
    ) -> None:
        self.place = place
        self.own = own
        self.agents = agents
        self.busy = busy


class Reasker:
    """Has the tickets of one desk asked again, at most `per_s` a second; 0 is never."""

    def __init__(
        self,
        desk: TicketDesk,
        asker: Asker,
        sights: Sights,
        per_s: float,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`steady` is a clock that is never set."""
        self._desk = desk
        self._asker = asker
        self._sights = sights
        self._steady = steady
        self._pace = Pace(per_s, at=steady())
        self._changes = Changes(desk.journal)
        self._queue: deque[str] = deque()
        self._stirred = threading.Event()
        self._over = threading.Event()
        self._swept_at = -_SWEEP_S
        self._wall = desk.clock() - steady()
        self._since = desk.clock()
        self._thread = threading.Thread(target=self._run, name="upriver-tickets", daemon=True)
        desk.epoch_of = self._changes.epoch_of
        desk.stirred = self._stirred.set
        desk.upstream_answered = self._reached

    def start(self) -> None:
        """Begins, in the background."""
        self._thread.start()

    def close(self) -> None:
        """Ends; what is being asked is given up, and asked again after the next start."""
        self._over.set()
        self._stirred.set()
        self._asker.close()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def load(self) -> None:
        """Takes in which pairs were seen before; the thread's first step."""
        self._changes.load()

    def look(self) -> float:
        """Looks once, and asks what is due; gives the seconds until it is worth looking again."""
        self._sweep()
        self._note_pairs()
        self._pace = self._pace.at_time(self._steady())
        if self._pace.per_s <= 0 or not self._desk.counters().open:
            return _SWEEP_S
        if not self._queue:
            self._queue.extend(self._due())
        while self._queue:
            if self._over.is_set() or self._asker.in_flight >= MAX_IN_FLIGHT:
                break
            if self._sights.busy():
                return _BUSY_S
            taken = self._pace.take()
            if taken is None:
                return self._pace.next_in_s()
            if self._ask(self._queue.popleft()):
                self._pace = taken
        return _LOOK_S

    def _run(self) -> None:
        self.load()
        while not self._over.wait(_SOON_S):
            self._stirred.clear()
            try:
                pause_s = self.look()
            except DiskTrouble as error:
                _LOG.debug("tickets can't be looked at: %s", error)  # the journal has told it
                pause_s = _LOOK_S
            except Exception:  # noqa: BLE001 - logged; a look that fails must not be the last
                _LOG.exception("looking for tickets to ask again failed")
                pause_s = _SWEEP_S
            self._stirred.wait(pause_s)

    def _reached(self, model: str, pairs: frozenset[str]) -> None:
        if self._changes.note(model, pairs):
            self._stirred.set()
        self._asker.reached(model)

    def _note_pairs(self) -> None:
        above: dict[str, set[str]] = {}
        for record in self._sights.agents():
            if self._sights.place.is_above(record.tier):
                for model, served in record.models.items():
                    above.setdefault(model, set()).add(served.digest)
        for model, own in self._sights.own().items():
            self._changes.note(model, above.get(model, ()), own)

    def _sweep(self) -> None:
        now = self._steady()
        jump_s = self._desk.clock() - now - self._wall
        if abs(jump_s) > _CLOCK_JUMP_S:
            since, until = self._since - 1.0, self._wall + now + 1.0
            self._wall += jump_s
            self._since += jump_s
            self._desk.journal.write(lambda connection: store.shift(connection, since, until, jump_s))
            _LOG.info("the clock was set by %.0f s: tickets of this run keep their age", jump_s)
        if now - self._swept_at >= _SWEEP_S:
            self._swept_at = now
            self._desk.expire()

    def _due(self) -> list[str]:
        found: list[str] = []
        for model in self._sights.own():
            found += self._desk.due(model, self._changes.epoch_of(model), self._asker.way_up(model), _QUEUE)
        return found

    def _ask(self, id_: str) -> bool:
        try:
            ticket = self._desk.get(id_, with_input=True)
        except (NotFound, TicketGone):
            return False
        except TicketDamaged as error:
            _LOG.warning("%s: it is dropped", error, extra=logs.about(question=id_))
            self._desk.drop(id_)
            return False
        if ticket.state is not State.OPEN:
            return False
        return self._asker.ask(ticket, self._changes.epoch_of(ticket.model))
