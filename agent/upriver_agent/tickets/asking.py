"""Asks one ticket's question again, and notes what came of it."""

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

from upriver import logs
from upriver.errors import CallerGone, Draining, InvalidInput, QueueFull, UpriverError
from upriver.parameters import Reason
from upriver_agent.balance import obstacle
from upriver_agent.cascade import Upward
from upriver_agent.envelope import DEFAULT_OPTIONS, CallerOptions
from upriver_agent.place import Place
from upriver_agent.serving.request import Call, InferAnswer, InferRequest, MetadataPairs
from upriver_agent.tickets import store
from upriver_agent.tickets.desk import TicketDesk
from upriver_agent.tickets.record import read_question, write_row
from upriver_agent.tickets.rules import Gate, Waiting, asked_again, is_due, waiting_for
from upriver_agent.tickets.table import Ticket

_LOG = logging.getLogger(__name__)

MAX_IN_FLIGHT: Final = 4
_NOT_THE_UPSTREAM: Final = (Reason.REGION, Reason.ALARM)
"""Reasons for which a question did not go up that say nothing of whether it could have."""


class AgainCall:
    """The call of a question that is asked again: nobody's but the agent's own."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._callback: Callable[[], object] | None = None
        self._over = False

    def metadata(self) -> MetadataPairs:
        """None."""
        return ()

    def time_left_s(self) -> float | None:
        """Seconds until it is given up."""
        return self._deadline - time.monotonic()

    def authenticated(self) -> bool:
        """It brings no envelope that could be trusted."""
        return False

    def caller(self) -> str:
        """A name that no address and no certificate has."""
        return "(tickets)"

    def on_end(self, callback: Callable[[], object]) -> bool:
        """Calls back when it is cancelled."""
        self._callback = callback
        return not self._over

    def cancel(self) -> None:
        """Gives it up."""
        self._over = True
        if self._callback is not None:
            self._callback()


@dataclass(frozen=True, slots=True)
class Mesh:
    """What asking again needs of the agent that it is in.

    `infer` answers a request, `look` gives the agents that are known and whom of them not to ask now.
    """

    place: Place
    infer: Callable[[InferRequest, Call], "InferAnswer | Future[InferAnswer]"]
    look: Callable[[], Upward]


class Asker:
    """Asks tickets again, each for at most `timeout_s`, and knows whether it can expect those above to answer."""

    def __init__(
        self,
        desk: TicketDesk,
        mesh: Mesh,
        timeout_s: float,
        steady: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`steady` is a clock that is never set, `chance` gives a number in [0, 1)."""
        self._desk = desk
        self._mesh = mesh
        self._timeout_s = timeout_s
        self._steady = steady
        self._chance = chance
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}
        self._away: set[str] = set()
        self._calls: dict[str, AgainCall] = {}

    @property
    def in_flight(self) -> int:
        """Tickets that are being asked now."""
        return len(self._calls)

    def way_up(self, model: str) -> bool:
        """Whether somebody above can be expected to answer for a model, or may be tried.

        Who has come back, by discovery's word or because its breaker lets a trial through, is tried at once.
        """
        if self._obstacle(model, DEFAULT_OPTIONS) is not None:
            self._away.add(model)
            return False
        if model in self._away:
            self._away.discard(model)
            self.reached(model)
        return self._gates.get(model, Gate()).may_pass(self._steady())

    def reached(self, model: str) -> None:
        """Somebody above has answered for a model, or has come back: if that is news, what waits is asked soon."""
        gate = self._gates.get(model)
        if gate is None or not gate.failures:
            return
        with self._lock:
            self._gates[model] = gate.reached()
        forgiven = self._desk.journal.write(lambda connection: store.forgive(connection, model))
        forgiven.add_done_callback(lambda _: self._desk.stirred())

    def ask(self, ticket: Ticket, epoch: int) -> bool:
        """Asks a ticket again, at this epoch of its model's pairs; False when it is asked already or has to wait."""
        if ticket.id in self._calls or not is_due(ticket.course, epoch, self.way_up(ticket.model), self._desk.clock()):
            return False
        try:
            request = read_question(ticket.request, ticket.id, ticket.origin)
        except InvalidInput as error:
            _LOG.warning("%s", error, extra=logs.about(ticket.origin.trace_id, ticket.id))
            self._again(ticket, None, epoch)
            return False
        if ticket.course.waiting is Waiting.UPSTREAM and epoch <= ticket.course.epoch:
            held = self._obstacle(ticket.model, request.options)
            if held is not None:
                self._again(ticket, held, epoch)
                return False
        call = AgainCall(self._timeout_s)
        with self._lock:
            self._calls[ticket.id] = call
            if ticket.course.waiting is Waiting.UPSTREAM:
                self._gates[ticket.model] = self._gates.get(ticket.model, Gate()).sent()
        try:
            outcome = self._mesh.infer(request, call)
        except Exception as error:  # noqa: BLE001 - noted with the ticket; one question must not end all others
            self._failed(ticket, epoch, error)
            return True
        if isinstance(outcome, Future):
            outcome.add_done_callback(lambda done: self._done(ticket, epoch, done))
        else:
            self._answered(ticket, epoch, outcome)
        return True

    def close(self) -> None:
        """Gives up what is being asked; it is asked again after the next start."""
        for call in list(self._calls.values()):
            call.cancel()

    def _obstacle(self, model: str, options: CallerOptions) -> Reason | None:
        upward = self._mesh.look()
        return obstacle(upward.agents, self._mesh.place, model, options, (), upward.avoid)

    def _done(self, ticket: Ticket, epoch: int, done: "Future[InferAnswer]") -> None:
        error = done.exception()
        if error is None:
            self._answered(ticket, epoch, done.result())
        else:
            self._failed(ticket, epoch, error)

    def _failed(self, ticket: Ticket, epoch: int, error: BaseException) -> None:
        self._release(ticket, None)
        if not isinstance(error, CallerGone | Draining | QueueFull):  # these say nothing of the question
            level = logging.DEBUG if isinstance(error, UpriverError) else logging.ERROR
            _LOG.log(level, "ticket %s could not be asked again: %s", ticket.id, error)
            self._again(ticket, None, epoch)
        self._desk.stirred()

    def _answered(self, ticket: Ticket, epoch: int, answer: InferAnswer) -> None:
        fact = answer.answers.facts[0]
        if fact.resolved:
            self._release(ticket, True if len(fact.path) > 1 else None)
            reply = write_row(answer, 0, ticket.id)
            closed = self._desk.close_ticket(ticket.id, reply, fact.agent)
            closed.add_done_callback(partial(self._closed, ticket, fact.agent))
            return
        cut_off = waiting_for(fact.reason) is Waiting.UPSTREAM
        told = None if fact.reason in _NOT_THE_UPSTREAM else not cut_off
        self._release(ticket, told)
        guess = b"" if cut_off else write_row(answer, 0, ticket.id)
        self._again(ticket, fact.reason, epoch, guess, fact.confidence)

    def _closed(self, ticket: Ticket, by: str, done: "Future[int]") -> None:
        if done.exception() is None and done.result():
            self._desk.answered(ticket, by)
        self._desk.stirred()

    def _release(self, ticket: Ticket, reached: bool | None) -> None:
        """The ticket is not being asked any more; `reached` says whether somebody above answered, None: unknown."""
        with self._lock:
            self._calls.pop(ticket.id, None)
            gate = self._gates.get(ticket.model, Gate())
            if reached is False:
                self._gates[ticket.model] = gate.failed(self._steady(), self._chance)
            elif reached is None:
                self._gates[ticket.model] = gate.let_go()
        if reached:
            self.reached(ticket.model)

    def _again(
        self, ticket: Ticket, reason: Reason | None, epoch: int, guess: bytes = b"", confidence: float = 0.0
    ) -> None:
        course = asked_again(ticket.course, reason, epoch, self._desk.clock(), self._chance())
        noted = self._desk.note_asked(ticket.id, course, guess, confidence)
        noted.add_done_callback(lambda _: self._desk.stirred())
