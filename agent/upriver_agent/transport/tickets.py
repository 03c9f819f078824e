"""TicketService: convert, ask the desk, convert back; and who may do what."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Literal

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import DiskTrouble, InvalidInput, NotAllowed, NotSupported, UpriverError
from upriver.oip.v2 import inference_pb2 as oip
from upriver.v1 import ticket_pb2 as pb
from upriver_agent.tickets.answering import PERSON
from upriver_agent.tickets.desk import TicketDesk
from upriver_agent.tickets.rules import State, Waiting
from upriver_agent.tickets.table import Ticket
from upriver_agent.transport.inference import GrpcCall
from upriver_agent.transport.status import refuse

_LOG = logging.getLogger(__name__)
SERVICE: Final = pb.DESCRIPTOR.services_by_name["TicketService"]
MAX_NAMES: Final = 1000
_PREFIX: Final = "tickets/"
_PAGE, _MAX_PAGE = 100, 1000
_MAX_WAIT_S: Final = 3600.0
_STATES: Final = {State.OPEN: pb.TICKET_STATE_OPEN, State.ANSWERED: pb.TICKET_STATE_ANSWERED}
_WAITING: Final = {Waiting.UPSTREAM: pb.TICKET_WAITING_UPSTREAM, Waiting.MODEL: pb.TICKET_WAITING_MODEL}

Access = Literal["authenticated", "network"]


class TicketServicer:
    """The tickets of one agent; `desk` None says that it gives out none."""

    def __init__(
        self, desk: TicketDesk | None, access: Access, blocking: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """`access` says who may see and answer everybody's tickets; `blocking` marks a serving thread as waiting."""
        self._desk = desk
        self._access = access
        self._blocking = blocking

    def get_ticket(self, request: pb.GetTicketRequest, context: grpc.ServicerContext) -> pb.GetTicketResponse:
        """Gives a ticket, once it is answered or the time to wait is over."""
        try:
            desk, id_ = self._open(), _id(request.name)
            if request.include_input:
                self._admit(context, "reading a ticket's input")
            call = GrpcCall(context)
            with self._blocking():
                ticket = desk.wait(id_, _wait_s(request, call.time_left_s()), call.on_end)
                if request.include_input:
                    ticket = desk.get(id_, with_input=True)
            reply = pb.GetTicketResponse(ticket=self._write(ticket))
            if ticket.state is State.ANSWERED:
                desk.delivered([id_])
        except UpriverError as error:
            refuse(context, error)
        return reply

    def list_tickets(self, request: pb.ListTicketsRequest, context: grpc.ServicerContext) -> pb.ListTicketsResponse:
        """Lists tickets in the order of their issue."""
        try:
            desk = self._open()
            self._admit(context, "listing tickets")
            if request.page_size < 0:
                raise InvalidInput(f"page_size {request.page_size}: expected at least 0")
            limit = min(request.page_size or _PAGE, _MAX_PAGE)
            after = _token(request.page_token)
            with self._blocking():
                found = desk.listing(request.state, request.model, after, limit)
                more = bool(found) and bool(desk.listing(request.state, request.model, found[-1].seq, 1))
                counters = desk.counters()
            return pb.ListTicketsResponse(
                tickets=self._readable(found),
                next_page_token=str(found[-1].seq) if more else "",
                counters=pb.TicketCounters(
                    open=counters.open,
                    issued=counters.issued,
                    answered=counters.answered,
                    expired=counters.expired,
                    dropped=counters.dropped,
                    refused=counters.refused,
                ),
            )
        except UpriverError as error:
            refuse(context, error)

    def watch_tickets(
        self, request: pb.WatchTicketsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTicketsResponse]:
        """Sends tickets as they are answered."""
        try:
            yield from self._watch(request, context)
        except UpriverError as error:
            refuse(context, error)

    def answer_ticket(self, request: pb.AnswerTicketRequest, context: grpc.ServicerContext) -> pb.AnswerTicketResponse:
        """A person answers."""
        try:
            desk, id_ = self._open(), _id(request.name)
            self._admit(context, "answering tickets")
            if not request.label and not request.outputs:
                raise InvalidInput("the answer is empty: expected a label, or outputs as JSON")
            with self._blocking():
                ticket = desk.answer(id_, request.label, request.outputs, _who(context))
            return pb.AnswerTicketResponse(ticket=self._write(ticket))
        except UpriverError as error:
            refuse(context, error)

    def delete_ticket(self, request: pb.DeleteTicketRequest, context: grpc.ServicerContext) -> pb.DeleteTicketResponse:
        """Forgets a ticket."""
        try:
            desk, id_ = self._open(), _id(request.name)
            self._admit(context, "deleting tickets")
            with self._blocking():
                desk.delete(id_)
            return pb.DeleteTicketResponse()
        except UpriverError as error:
            refuse(context, error)

    def _watch(
        self, request: pb.WatchTicketsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTicketsResponse]:
        desk, names = self._open(), frozenset(_id(name) for name in request.names)
        if not names:
            self._admit(context, "watching everybody's tickets")
        if len(names) > MAX_NAMES:
            raise InvalidInput(f"{len(names)} tickets: expected at most {MAX_NAMES}, or none named for all")
        gone = threading.Event()

        def leave() -> None:
            gone.set()
            desk.waiters.stir()

        if not context.add_callback(leave):
            return
        with desk.waiters.place():
            with self._blocking():
                cursor = request.since if request.HasField("since") else desk.cursor()
            yield pb.WatchTicketsResponse(cursor=cursor)
            while not gone.is_set() and not desk.waiters.over:
                closings = desk.waiters.closings
                with self._blocking():
                    found = desk.answers_since(cursor)
                for ticket in found:
                    cursor = ticket.cursor
                    if not names or ticket.id in names:
                        for told in self._readable([ticket]):
                            yield pb.WatchTicketsResponse(ticket=told, cursor=cursor)
                        if names:  # who watches everybody's is not whom the answer is for
                            desk.delivered([ticket.id])
                if not found:
                    with self._blocking():
                        desk.waiters.next(closings, gone.is_set, _MAX_WAIT_S)

    def _open(self) -> TicketDesk:
        if self._desk is None:
            raise NotSupported("this agent gives out no tickets: set tickets.enabled = true")
        return self._desk

    def _admit(self, context: grpc.ServicerContext, what: str) -> None:
        if self._access != "network" and not context.peer_identities():
            raise NotAllowed(
                f"{what} is for callers with a certificate (mutual TLS); set tickets.access = 'network' on this agent "
                "to let anybody do it who reaches its port"
            )

    def _readable(self, found: Iterable[Ticket]) -> list[pb.Ticket]:
        """Tickets as messages, without those of which nothing can be read any more."""
        messages = []
        for ticket in found:
            try:
                messages.append(self._write(ticket))
            except DiskTrouble as error:
                _LOG.warning("%s", error)
        return messages

    def _write(self, ticket: Ticket) -> pb.Ticket:
        desk = self._open()
        answered = ticket.state is State.ANSWERED
        message = pb.Ticket(
            name=_PREFIX + ticket.id,
            model=ticket.model,
            state=_STATES[ticket.state],
            waiting=pb.TICKET_WAITING_UNSPECIFIED if answered else _WAITING[ticket.course.waiting],
            create_time=_time(ticket.created_at),
            expire_time=_time(ticket.created_at + desk.options.max_age_s),
            attempts=ticket.course.attempts,
            answered_by=ticket.answered_by,
            trace=ticket.origin.trace_id,
            span=ticket.origin.span_id,
        )
        try:
            message.guess.CopyFrom(oip.ModelInferResponse.FromString(ticket.guess))
            if answered:
                message.answer_time.CopyFrom(_time(ticket.closed_at))
                message.answer.CopyFrom(oip.ModelInferResponse.FromString(ticket.answer))
            elif ticket.request:
                message.input.CopyFrom(oip.ModelInferRequest.FromString(ticket.request))
        except DecodeError as error:
            raise DiskTrouble(f"what was kept of ticket {ticket.id} can't be read: {error}") from error
        return message


def _id(name: str) -> str:
    id_ = name.removeprefix(_PREFIX)
    if id_ == name or not id_ or len(id_) > 200:
        raise InvalidInput(f"ticket {name[:80]!r}: expected tickets/<ticket>")
    return id_


def _token(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput(f"page_token {text[:80]!r}: expected the next_page_token of an answer")
    return int(text)


def _wait_s(request: pb.GetTicketRequest, left_s: float | None) -> float:
    """How long to wait: as wanted, but so that the reply still reaches a caller who has `left_s`."""
    wanted = min(request.wait_time.seconds + request.wait_time.nanos / 1e9, _MAX_WAIT_S)
    return wanted if left_s is None else min(wanted, left_s - max(0.02, left_s / 20))


def _who(context: grpc.ServicerContext) -> str:
    """A person, and the name in the certificate that it came with."""
    if not context.peer_identities():
        return PERSON
    told: Any = context.auth_context().get("x509_common_name", ())  # texts as bytes, whatever the stubs say
    return " ".join((PERSON, *(name.decode(errors="replace")[:80] for name in told)))


def _time(at: float) -> Timestamp:
    seconds = int(at)
    return Timestamp(seconds=seconds, nanos=int((at - seconds) * 1e9))
