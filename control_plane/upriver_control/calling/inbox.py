"""The open tickets of all agents in one order, page by page, with what a person needs to answer them."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from upriver import parameters as names
from upriver.errors import InvalidInput, NotFound, TicketGone, UpriverError
from upriver.labels import split_labels
from upriver.oip.v2 import inference_pb2 as oip
from upriver.refusals import TOO_LARGE
from upriver.v1 import inbox_pb2 as pb
from upriver.v1 import ticket_pb2
from upriver_control.calling.asked import Calls
from upriver_control.calling.choice import REPORTED, reported_by, whom_to_ask
from upriver_control.calling.handed import handed_inputs, picture_in
from upriver_control.calling.methods import ANSWER_TICKET, GET_TICKET, LIST_TICKETS
from upriver_control.calling.rounds import Rounds
from upriver_control.observed import AgentFacts

MAX_TICKETS: Final = 5000
"""Tickets of one agent that are looked through for a page."""
MAX_UNREACHABLE: Final = 100
MAX_LABELS: Final = 1000
MAX_PAGE_BYTES: Final = 3 << 20
CALL_S: Final = 5.0
ALL_S: Final = 8.0
NONE_REPORTED: Final = "it last reported no open tickets"
_AGENT_PAGE: Final = 100
_OPEN: Final = ticket_pb2.TICKET_STATE_OPEN


class Place(NamedTuple):
    """Where a ticket stands among all: by when its agent says that it was issued, then by name."""

    issued_ns: int
    agent: str
    name: str


@dataclass(frozen=True, slots=True)
class Page:
    """Tickets, oldest first; `after` is where to go on, None on the last page. `unreachable` has for an agent why.

    `reported` is how many agents say that wait, of all models.
    """

    tickets: Sequence[pb.OpenTicket]
    after: Place | None
    unreachable: Mapping[str, str]
    reported: int


class Inbox:
    """Looks through what waits at `agents`, which are all that are known."""

    def __init__(self, calls: Calls, agents: Callable[[], Iterable[AgentFacts]], all_s: float = ALL_S) -> None:
        """Who has not answered after `all_s` is left out, and told of."""
        self._calls = calls
        self._agents = agents
        self._rounds = Rounds(all_s)

    async def page(self, model: str, size: int, after: Place | None, with_input: bool) -> Page:
        """The next tickets behind a place."""
        known = {facts.agent: facts for facts in self._agents()}
        choice = whom_to_ask(known.values(), model)
        asked = {agent: known[agent].connected_since for agent in choice.asked}
        replies = await self._rounds.ask(asked, lambda agent: self._waiting(agent, model, size + 1, after))
        found = {_place(agent, ticket): ticket for agent, tickets in replies.answers.items() for ticket in tickets}
        places = sorted(found)
        shown = await self._shown([(place, found[place]) for place in places[:size]], with_input)
        kept = _within(shown)
        behind = places[len(kept) :]
        last = places[len(kept) - 1] if kept and behind else None
        unreachable = choice.left_out | {
            agent: f"{why}; {NONE_REPORTED}" if known[agent].decisions.get(REPORTED) == 0 else why
            for agent, why in replies.problems.items()
        }
        told = sorted(unreachable.items(), key=lambda item: (item[1].endswith(NONE_REPORTED), item[0]))
        shown_here = [one for one in kept if one is not None]
        return Page(shown_here, last, dict(told[:MAX_UNREACHABLE]), reported_by(known.values()))

    async def answer(self, agent: str, name: str, label: str) -> ticket_pb2.Ticket:
        """Answers a ticket in a person's name; raises what its agent says is wrong, and Unreachable."""
        request = ticket_pb2.AnswerTicketRequest(name=name, label=label)
        return (await self._calls.call(agent, ANSWER_TICKET, request, CALL_S)).ticket

    async def _waiting(self, agent: str, model: str, most: int, after: Place | None) -> list[ticket_pb2.Ticket]:
        """An agent's first open tickets behind a place."""
        found: list[ticket_pb2.Ticket] = []
        token, looked, size = "", 0, min(most, _AGENT_PAGE) if after is None else _AGENT_PAGE
        while True:
            request = ticket_pb2.ListTicketsRequest(page_size=size, page_token=token, state=_OPEN, model=model)
            try:
                reply = await self._calls.call(agent, LIST_TICKETS, request, CALL_S)
            except InvalidInput as error:
                if size == 1 or TOO_LARGE not in str(error):
                    raise
                size = max(1, size // 8)  # guesses of many labels
                continue
            looked += len(reply.tickets)
            found += [
                ticket
                for ticket in reply.tickets
                if ticket.state == _OPEN
                and (not model or ticket.model == model)
                and (after is None or _place(agent, ticket) > after)
            ]
            token = reply.next_page_token
            if not token or not reply.tickets or len(found) >= most:
                return found[:most]
            if looked >= MAX_TICKETS:
                raise InvalidInput(f"more than {MAX_TICKETS} tickets wait there: answer or delete the oldest first")

    async def _shown(
        self, tickets: Sequence[tuple[Place, ticket_pb2.Ticket]], with_input: bool
    ) -> list[pb.OpenTicket | None]:
        """Tickets with what a person needs; None for one that is not open any more."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(place.agent, ticket, with_input)) for place, ticket in tickets]
        return [task.result() for task in tasks]

    async def _one(self, agent: str, ticket: ticket_pb2.Ticket, with_input: bool) -> pb.OpenTicket | None:
        if with_input:
            request = ticket_pb2.GetTicketRequest(name=ticket.name, include_input=True)
            try:
                ticket = (await self._calls.call(agent, GET_TICKET, request, CALL_S)).ticket
            except (NotFound, TicketGone):
                return None
            except UpriverError as error:  # it can be answered all the same, by who knows it otherwise
                return pb.OpenTicket(
                    agent=agent, ticket=ticket, labels=labels_of(ticket.guess), input_problem=str(error)
                )
            if ticket.state != _OPEN:
                return None
        shown = pb.OpenTicket(agent=agent, ticket=ticket, labels=labels_of(ticket.guess))
        if ticket.HasField("input"):
            shown.png = await asyncio.to_thread(_picture, ticket.input)
        return shown


def labels_of(guess: oip.ModelInferResponse) -> list[str]:
    """What a person may answer, as the agent takes it: the columns of the guess's scores."""
    for output in guess.outputs:
        if names.SCORES_ARE in output.parameters:
            if names.LABELS in output.parameters:
                return list(split_labels(output.parameters[names.LABELS].string_param))[:MAX_LABELS]
            columns = output.shape[1] if len(output.shape) > 1 else 0
            return [str(column) for column in range(min(columns, MAX_LABELS))]
    return []


def write_place(place: Place | None) -> str:
    """A place as a page's token; empty for none."""
    return json.dumps(place, ensure_ascii=True, separators=(",", ":")) if place is not None else ""


def read_place(token: str) -> Place | None:
    """Reads it; raises InvalidInput for what is no token of ours."""
    if not token:
        return None
    try:
        issued, agent, name = json.loads(token)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(f"page_token {token[:80]!r}: expected the next_page_token of an answer") from error
    if type(issued) is not int or type(agent) is not str or type(name) is not str:
        raise InvalidInput(f"page_token {token[:80]!r}: expected the next_page_token of an answer")
    return Place(issued, agent, name)


def _place(agent: str, ticket: ticket_pb2.Ticket) -> Place:
    issued = ticket.create_time
    return Place(issued.seconds * 10**9 + issued.nanos, agent, ticket.name)


def _picture(request: oip.ModelInferRequest) -> bytes:
    try:
        return picture_in(handed_inputs(request))
    except InvalidInput:  # what it can't be read as is seen in it
        return b""


def _within(shown: Sequence[pb.OpenTicket | None]) -> list[pb.OpenTicket | None]:
    """As many as go into one message; one that is too large for any goes without what it has of the question."""
    kept: list[pb.OpenTicket | None] = []
    size = 0
    for one in shown:
        if one is not None:
            if one.ByteSize() > MAX_PAGE_BYTES // 2:
                one.input_problem = f"it takes {one.ByteSize()} bytes, which is too much to be shown"
                for field in ("input", "guess"):
                    one.ticket.ClearField(field)
                one.ClearField("png")
            size += one.ByteSize()
        if kept and size > MAX_PAGE_BYTES:
            break
        kept.append(one)
    return kept
