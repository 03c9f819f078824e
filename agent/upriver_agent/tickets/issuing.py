"""How tickets are issued: in the journal before the answer that names them goes out.

If the disk can't take them in time the answer goes out without, and that is counted and told.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, InvalidStateError
from typing import Final

from upriver import logs
from upriver.errors import UpriverError
from upriver_agent.journal import Journal
from upriver_agent.serving.request import InferAnswer, InferRequest
from upriver_agent.telemetry import Origin
from upriver_agent.tickets import store
from upriver_agent.tickets.record import write_question, write_row
from upriver_agent.tickets.rules import waiting_for
from upriver_agent.tickets.table import NewTicket
from upriver_agent.upstream.timer import Timer

_LOG = logging.getLogger(__name__)

MAX_ROWS: Final = 256
"""Rows of one request that get a ticket."""
MAX_SHARE: Final = 0.25
"""Of all that tickets may take: one request's part at most, so that it does not put out everybody else's."""
MAX_PENDING_BYTES: Final = 16 << 20
"""Of tickets that wait for the disk; when it is slower than they come, more get none."""
DISK_S: Final = 1.0
"""The longest that an answer waits for the disk."""
WAY_OUT_S: Final = 0.02
"""Of the time that the caller has left so much is kept for the way out, or half of what there is when that is less."""


class Issuer:
    """Issues the tickets of one agent. `epoch_of` gives how often a model's pairs were seen to change."""

    def __init__(
        self,
        journal: Journal,
        max_bytes: int,
        max_input_bytes: int,
        epoch_of: Callable[[str], int],
        issued: Callable[[], None],
        timer: Timer,
        disk_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`issued` is called after some were; an answer waits at most `disk_s` for the disk. `timer` runs on
        `time.monotonic`, `clock` is a Unix time."""
        self.refused = 0
        """Rows that got none since the start."""
        self._journal = journal
        self._max_bytes = max_bytes
        self._max_input_bytes = max_input_bytes
        self._epoch_of = epoch_of
        self._issued = issued
        self._clock = clock
        self._told = ""
        self._pending_bytes = 0
        self._lock = threading.Lock()
        self._timer = timer
        self._disk_s = disk_s

    def issue(
        self, question: str, request: InferRequest, answer: InferAnswer, time_left_s: float | None
    ) -> "Future[tuple[str, ...]]":
        """Keeps the unresolved rows of a request; see `TicketOffice`."""
        rows = len(answer.answers.facts)
        ids = tuple(question if rows == 1 else f"{question}.{row}" for row in range(rows))
        later: Future[tuple[str, ...]] = Future()
        kept = self._chosen(ids, request, answer)
        size = sum(len(ticket.request) + len(ticket.guess) for ticket in kept)
        if kept and not self._pend(size):
            self._refuse(len(kept), "the disk was too slow")
            kept = []
        if not kept:
            later.set_result(())
            return later

        def end(named: Collection[str], why: str) -> bool:
            try:
                later.set_result(tuple(id_ if id_ in named else "" for id_ in ids))
            except InvalidStateError:  # of disk and time the other was first
                return False
            self._refuse(len(kept) - len(named), why)
            return True

        def late() -> None:
            end((), "the disk was too slow")

        def done(future: "Future[frozenset[str]]") -> None:
            too_late.cancel()
            self._pend(-size)
            error = future.exception()
            if error is not None:
                end((), str(error))
            elif end(future.result(), "everything that is kept is worth more"):
                self._issued()
            else:  # nobody was told of them
                self._journal.write(lambda connection: [store.delete(connection, id_) for id_ in future.result()])

        epoch, now, most = self._epoch_of(request.model), self._clock(), self._max_bytes
        limit_s = self._disk_s
        if time_left_s is not None:
            limit_s = min(limit_s, max(time_left_s / 2, time_left_s - WAY_OUT_S, 0.0))
        too_late = self._timer.at(time.monotonic() + limit_s, late)
        written = self._journal.write(lambda connection: store.add(connection, kept, epoch, now, most))
        written.add_done_callback(done)
        return later

    def _chosen(self, ids: tuple[str, ...], request: InferRequest, answer: InferAnswer) -> list[NewTicket]:
        """The tickets of the unresolved rows, but for those that are too large or too many."""
        rows = [row for row, fact in enumerate(answer.answers.facts) if not fact.resolved]
        new: list[NewTicket] = []
        room = MAX_SHARE * self._max_bytes
        try:
            for row in rows[:MAX_ROWS]:
                asked, guess = write_question(request, row), write_row(answer, row, ids[row])
                room -= len(asked) + len(guess) + store.OVERHEAD
                if len(asked) <= self._max_input_bytes and (room >= 0 or not new):
                    fact = answer.answers.facts[row]
                    waiting = waiting_for(fact.reason)
                    origin = Origin(answer.trace_id, answer.span_id)
                    new.append(NewTicket(ids[row], request.model, fact.confidence, waiting, asked, guess, origin))
        except UpriverError as error:
            about = logs.about(answer.trace_id, ids[rows[0]])
            _LOG.warning("a question that can't be written down gets no ticket: %s", error, extra=about)
            new = []
        self._refuse(len(rows) - len(new), "larger than tickets.max_input_kib, or too many in one request")
        return new

    def _pend(self, size: int) -> bool:
        """Notes that so many bytes wait for the disk, or do not any more; False when they are too many."""
        with self._lock:
            if size > 0 and self._pending_bytes and self._pending_bytes + size > MAX_PENDING_BYTES:
                return False
            self._pending_bytes += size
        return True

    def _refuse(self, rows: int, why: str) -> None:
        if rows <= 0:
            return
        self.refused += rows
        if why != self._told:  # once for each kind of trouble: what a full disk makes must not fill it
            self._told = why
            _LOG.warning("%d unresolved questions got no ticket: %s", rows, why)
