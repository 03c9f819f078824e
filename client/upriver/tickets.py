"""Tickets as a client sees them, and whom to ask about one: what sync and asyncio share. Does no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.answer import Answer
from upriver.backoff import full_jitter_s
from upriver.errors import DeadlineExpired, InvalidInput, NotFound, QueueFull, UpriverError
from upriver.oip.v2 import inference_pb2 as oip
from upriver.refusals import REPEATABLE
from upriver.request import parse_response
from upriver.tensors import Array, decode_raw
from upriver.v1 import ticket_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["TicketService"]
PREFIX: Final = "tickets/"
LONGEST_WAIT_S: Final = 30.0
"""How long one call waits for an answer; then it is made again."""
REPLY_S: Final = 5.0
"""How much later than it was asked to an agent may reply before it counts as gone."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0


class TicketState(StrEnum):
    """Where a ticket is."""

    OPEN = "open"
    ANSWERED = "answered"


class TicketWaiting(StrEnum):
    """What an open ticket waits for; NOTHING once it is answered."""

    NOTHING = ""
    UPSTREAM = "upstream"
    MODEL = "model"


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A question that nobody was sure of. Times are Unix times, 0 for one that has not come."""

    id: str
    model: str
    state: TicketState
    waiting: TicketWaiting
    """`upstream`: somebody above who can be asked; `model`: another pair, or a person."""
    created_at: float
    expires_at: float
    answered_at: float
    attempts: int
    """How often it was asked again in vain."""
    guess: Answer
    """The best guess there is."""
    answer: Answer | None
    """None while it is open. Its `latency_s` is from the issue of the ticket to the answer."""
    answered_by: str
    """An agent, or `person` with the name in its certificate."""
    inputs: Mapping[str, Array] | None = field(default=None, repr=False)
    """The question's inputs, [1, ...] each, of an open ticket when they were asked for."""


def parse_ticket(message: pb.Ticket) -> Ticket:
    """Makes a ticket of a message; raises InferenceFailed or InvalidInput when it can't be read."""
    created, answered = _seconds(message.create_time), _seconds(message.answer_time)
    has_answer = message.state == pb.TICKET_STATE_ANSWERED
    waiting = {pb.TICKET_WAITING_UPSTREAM: TicketWaiting.UPSTREAM, pb.TICKET_WAITING_MODEL: TicketWaiting.MODEL}
    return Ticket(
        id=message.name.removeprefix(PREFIX),
        model=message.model,
        state=TicketState.ANSWERED if has_answer else TicketState.OPEN,
        waiting=waiting.get(message.waiting, TicketWaiting.NOTHING),
        created_at=created,
        expires_at=_seconds(message.expire_time),
        answered_at=answered,
        attempts=message.attempts,
        guess=parse_response(message.guess, 1, 0.0)[0],
        answer=parse_response(message.answer, 1, max(0.0, answered - created))[0] if has_answer else None,
        answered_by=message.answered_by,
        inputs=_inputs(message.input) if message.HasField("input") else None,
    )


def ticket_id(ticket: "str | Answer") -> str:
    """The id of a ticket, or of an answer that has one; raises InvalidInput for one that has none."""
    id_ = ticket.ticket if isinstance(ticket, Answer) else ticket.removeprefix(PREFIX)
    if not id_:
        raise InvalidInput("no ticket: the answer is resolved, or its agent gave none")
    return id_


class Seek:
    """The way to one ticket's answer: whom to ask now, for how long, and what to make of what came back.

    The ticket is at one of the agents at `addresses`; nobody says at which.
    """

    def __init__(self, id_: str, addresses: Sequence[str], first: int, deadline: float) -> None:
        """`deadline` is on the clock that `now` is read from, in seconds."""
        self._id = id_
        self._addresses = addresses
        self._at = first
        self._deadline = deadline
        self._rounds = 0
        self._tried = 0
        self._crowded = False
        self._asked_at = 0.0
        self._wait_s = 0.0
        self._early = 0
        self._unknown: set[str] = set()
        self._last: UpriverError | None = None

    @property
    def address(self) -> str:
        """The agent to ask now."""
        return self._addresses[self._at]

    def request(self, now: float) -> tuple[pb.GetTicketRequest, float]:
        """What to ask it, and the call's timeout in seconds. Raises DeadlineExpired when there is no time."""
        left = self._deadline - now
        if left <= 0:
            told = f"; last: {self._last}" if self._last is not None else ""
            raise DeadlineExpired(f"ticket {self._id} was not answered in time{told}")
        wait_s = 0.0 if self._crowded else min(left, LONGEST_WAIT_S)
        self._asked_at, self._wait_s = now, wait_s
        message = pb.GetTicketRequest(name=PREFIX + self._id)
        message.wait_time.CopyFrom(Duration(seconds=int(wait_s), nanos=int(wait_s % 1 * 1e9)))
        return message, min(left, wait_s + REPLY_S)

    def open(self, now: float, chance: float) -> float:
        """The ticket was still open: gives the seconds to wait before the same agent is asked again."""
        self._rounds, self._tried, self._last = 0, 0, None
        self._unknown.clear()
        if self._crowded:
            self._crowded = False
            return self._within(LONGEST_PAUSE_S * chance, now)
        # An agent that does not wait as long as it was asked to must not be asked all the faster.
        self._early = self._early + 1 if now - self._asked_at < self._wait_s / 2 else 0
        return self._within(self._pause_s(self._early, chance), now) if self._early else 0.0

    def failed(self, error: UpriverError, now: float, chance: float) -> float:
        """Moves on after an error, giving the seconds to wait; raises it when it is final."""
        if isinstance(error, NotFound):
            self._unknown.add(self.address)
            if len(self._unknown) == len(self._addresses):
                raise error
        elif not isinstance(error, (*REPEATABLE, DeadlineExpired)):
            raise error
        self._last = error
        self._crowded = isinstance(error, QueueFull)
        if self._crowded:
            return self._within(self._pause_s(1, chance), now)
        self._at = (self._at + 1) % len(self._addresses)
        self._tried += 1
        if self._tried % len(self._addresses):
            return 0.0
        self._rounds += 1
        return self._within(self._pause_s(self._rounds, chance), now)

    def _pause_s(self, failures: int, chance: float) -> float:
        return full_jitter_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S, lambda: chance)

    def _within(self, pause_s: float, now: float) -> float:
        return max(0.0, min(pause_s, self._deadline - now))


def watch_request(ids: Sequence[str], since: int | None) -> pb.WatchTicketsRequest:
    """What asks for answers from behind a cursor on; with tickets named, at first also for those that have come."""
    start = 0 if since is None and ids else since
    return pb.WatchTicketsRequest(names=[PREFIX + id_ for id_ in ids], since=start)


def _inputs(message: oip.ModelInferRequest) -> dict[str, Array]:
    if len(message.raw_input_contents) != len(message.inputs):
        raise InvalidInput(f"{len(message.inputs)} inputs but {len(message.raw_input_contents)} raw contents")
    return {
        tensor.name: decode_raw(tensor.name, tensor.datatype, tuple(tensor.shape), raw)
        for tensor, raw in zip(message.inputs, message.raw_input_contents, strict=True)
    }


def _seconds(stamp: Timestamp) -> float:
    return float(stamp.seconds) + float(stamp.nanos) / 1e9
