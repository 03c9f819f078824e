"""Where tickets are asked about and closed: the shell around the journal that they are in."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upriver.errors import Draining, NotFound, NotNow, TicketGone
from upriver_agent.journal import Journal
from upriver_agent.merge import RowFacts
from upriver_agent.serving.request import InferAnswer, InferRequest
from upriver_agent.telemetry import Origin
from upriver_agent.tickets import store
from upriver_agent.tickets.answering import PERSON, filled, labelled
from upriver_agent.tickets.issuing import DISK_S, Issuer
from upriver_agent.tickets.rules import Course, State
from upriver_agent.tickets.table import SCHEMA, Ticket
from upriver_agent.tickets.waiting import OnEnd, Waiters
from upriver_agent.upstream.timer import Timer

FILE: Final = "tickets.db"
_DISK_S: Final = 5.0
_PAGE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class DeskOptions:
    """`max_bytes` for all tickets, `max_input_bytes` for one, seconds until one expires, and for which an answer waits
    for the disk at most."""

    agent: str
    folder: Path
    max_bytes: int
    max_age_s: float
    max_input_bytes: int
    disk_s: float = DISK_S


@dataclass(frozen=True, slots=True)
class Counters:
    """Tickets: open now; issued, answered, expired and dropped since the journal began; `refused` are rows that got
    none since the process began, because of the disk or a bound."""

    open: int = 0
    issued: int = 0
    answered: int = 0
    expired: int = 0
    dropped: int = 0
    refused: int = 0


class TicketDesk:
    """The tickets of one agent; `start` it before use. Methods raise DiskTrouble when the journal can't be used."""

    def __init__(self, options: DeskOptions, timer: Timer, clock: Callable[[], float] = time.time) -> None:
        """`timer` runs on `time.monotonic`, `clock` is a Unix time."""
        self.options = options
        self.journal = Journal(options.folder / FILE, SCHEMA, durable=False)
        self.clock = clock
        self.waiters = Waiters()
        self.epoch_of: Callable[[str], int] = lambda _: 0
        """How often a model's pairs were seen to change; set by whoever counts them."""
        self.stirred: Callable[[], None] = lambda: None
        """Called when there may be something to ask again; set by whoever asks."""
        self.upstream_answered: Callable[[str, frozenset[str]], None] = lambda _model, _pairs: None
        """Called with a model for which an upstream answered, and the pairs that did; set by whoever asks again."""
        self.taught: Callable[[str, str, bytes, bytes, Origin], None] = lambda _id, _model, _question, _reply, _at: None
        """Called with a ticket that a person has answered, its model, its question and the answer, as messages of one
        row each, and where it was asked; set by whoever learns from it, and must not wait."""
        self.answered: Callable[[Ticket, str], None] = lambda _ticket, _by: None
        """Called with a ticket that was answered, and by whom; set by whoever tells of it, and must not wait."""
        self._issuer = Issuer(
            self.journal,
            options.max_bytes,
            options.max_input_bytes,
            lambda model: self.epoch_of(model),
            lambda: self.stirred(),
            timer,
            options.disk_s,
            clock,
        )

    def start(self) -> None:
        """Opens the journal in the background."""
        self.journal.start()

    def close(self) -> None:
        """Ends who waits, and writes what is to be written."""
        self.waiters.close()
        self.journal.close()

    def issue(
        self, question: str, request: InferRequest, answer: InferAnswer, time_left_s: float | None
    ) -> "Future[tuple[str, ...]]":
        """Keeps the unresolved rows of a request; see `TicketOffice`."""
        return self._issuer.issue(question, request, answer, time_left_s)

    def reached(self, model: str, facts: Sequence[RowFacts]) -> None:
        """An upstream has answered."""
        self.upstream_answered(model, frozenset(fact.policy for fact in facts))

    def get(self, id_: str, with_input: bool = False) -> Ticket:
        """A ticket as it is now. Raises NotFound, or TicketGone for one that has expired or was dropped."""
        found = self.journal.read(lambda connection: store.find(connection, id_, with_input))
        if found is None:
            raise NotFound(f"this agent, {self.options.agent!r}, has no ticket {id_[:80]!r}")
        if isinstance(found, State):
            why = "expired" if found is State.EXPIRED else "was dropped"
            raise TicketGone(f"ticket {id_} {why} before it was answered")
        return found

    def wait(self, id_: str, timeout_s: float, on_end: OnEnd) -> Ticket:
        """A ticket once it is closed, or as it is after `timeout_s`.

        Raises as `get`, QueueFull when too many wait, and Draining when the agent ends meanwhile.
        """
        found = self.get(id_)
        if found.state is State.OPEN:
            self.journal.write(lambda connection: store.want(connection, id_))
            if timeout_s > 0:
                with self.waiters.place(), self.waiters.one(id_) as closed:
                    if on_end(closed.set) and self.get(id_).state is State.OPEN:
                        closed.wait(timeout_s)
                if self.waiters.over:
                    raise Draining("the agent is ending; ask again when it is back")
                found = self.get(id_)
        return found

    def listing(self, state: int, model: str, after: int, limit: int) -> list[Ticket]:
        """A page of tickets from behind one on: at least one, and no more than make a message of a moderate size."""
        return _page(self.journal.read(lambda connection: store.listing(connection, state, model, after, limit)))

    def answers_since(self, cursor: int, limit: int = 50) -> list[Ticket]:
        """Answered tickets from behind a cursor on."""
        return _page(self.journal.read(lambda connection: store.answered_since(connection, cursor, limit)))

    def cursor(self) -> int:
        """The cursor of the last answer."""
        return self.journal.read(lambda connection: store.tally(connection)["cursor"])

    def answer(self, id_: str, label: str, outputs: str, by: str) -> Ticket:
        """A person, called `by`, answers: with a label, or outputs as JSON. Raises NotNow when it is not open."""
        found = self.get(id_, with_input=True)  # which is let go of once it is closed
        if found.state is not State.OPEN:
            raise NotNow(f"ticket {id_} is answered already, by {found.answered_by}")
        me = self.options.agent
        reply = labelled(found.guess, label, me) if label else filled(found.guess, outputs, me)
        if not self.close_ticket(id_, reply, by or PERSON).result(_DISK_S):
            raise NotNow(f"ticket {id_} was closed by somebody else meanwhile")
        self.answered(found, by or PERSON)
        self.taught(id_, found.model, found.request, reply, found.origin)
        return self.get(id_)

    def close_ticket(self, id_: str, reply: bytes, by: str) -> "Future[int]":
        """Has an open ticket answered; the future gives the cursor, 0 when it was not open any more."""
        now = self.clock()
        written = self.journal.write(lambda connection: store.answer(connection, id_, reply, by, now))
        written.add_done_callback(lambda done: self.waiters.wake([] if done.exception() else [id_]))
        return written

    def note_asked(self, id_: str, course: Course, guess: bytes, confidence: float) -> "Future[None]":
        """Notes that a ticket was asked again in vain; an empty guess keeps the one there is."""
        return self.journal.write(lambda connection: store.note_asked(connection, id_, course, guess, confidence))

    def delete(self, id_: str) -> None:
        """Forgets a ticket. Raises NotFound or TicketGone."""
        if not self.journal.write(lambda connection: store.delete(connection, id_)).result(_DISK_S):
            self.get(id_)
        self.waiters.wake([id_])

    def due(self, model: str, epoch: int, way_up: bool, limit: int) -> list[str]:
        """Ids of open tickets of a model that may be asked again now, the most valuable first."""
        now = self.clock()
        return self.journal.read(lambda connection: store.due(connection, model, epoch, way_up, now, limit))

    def drop(self, id_: str) -> None:
        """Forgets a ticket that nobody could make anything of."""
        self.journal.write(lambda connection: store.delete(connection, id_, lost=True))
        self.waiters.wake([id_])

    def expire(self) -> None:
        """Ends what is too old."""
        before = self.clock() - self.options.max_age_s
        written = self.journal.write(lambda connection: store.expire(connection, before))
        written.add_done_callback(lambda done: self.waiters.wake([] if done.exception() else done.result()))

    def delivered(self, ids: Iterable[str]) -> None:
        """Answers were given to somebody: they are the first to go when room is needed."""
        told = list(ids)
        if told:
            self.journal.write(lambda connection: store.deliver(connection, told))

    def counters(self) -> Counters:
        """As of now."""
        found = self.journal.read(store.tally)
        return Counters(
            open=found["open"],
            issued=found["issued"],
            answered=found["answered"],
            expired=found["expired"],
            dropped=found["dropped"],
            refused=self._issuer.refused,
        )


def _page(found: list[Ticket]) -> list[Ticket]:
    size, count = 0, 0
    for ticket in found:
        size += len(ticket.guess) + len(ticket.answer)
        if count and size > _PAGE_BYTES:
            break
        count += 1
    return found[:count]
