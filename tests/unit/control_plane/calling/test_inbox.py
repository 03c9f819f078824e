"""The open tickets of all agents in one order, page by page."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.control_plane.fleet_facts import agent
from upriver import parameters as names
from upriver.errors import InvalidInput, NotSupported, TicketGone, Unreachable
from upriver.oip.v2 import inference_pb2 as oip
from upriver.v1 import ticket_pb2 as pb
from upriver_control.calling.inbox import Inbox, labels_of, read_place, write_place
from upriver_control.calling.methods import ANSWER_TICKET, GET_TICKET, LIST_TICKETS
from upriver_control.calling.pictures import is_png

OPEN = pb.TICKET_STATE_OPEN


def ticket(name, issued_s, model="digits", pixels=None):
    made = pb.Ticket(name=f"tickets/{name}", model=model, state=OPEN)
    made.create_time.FromNanoseconds(round(issued_s * 1e9))
    output = made.guess.outputs.add(name="scores", datatype="FP32", shape=[1, 3])
    output.parameters[names.SCORES_ARE].string_param = "probabilities"
    output.parameters[names.LABELS].string_param = "one,two\\, or so,three"
    if pixels is not None:
        made.input.inputs.add(name="image", datatype="UINT8", shape=[1, *pixels.shape])
        made.input.raw_input_contents.append(pixels.tobytes())
    return made


class Mesh:
    """Agents that have tickets, by name; or the error of one that can't be asked."""

    def __init__(self, agents, gone=(), page=100):
        self.agents = agents
        self.gone = gone
        self.page = page
        self.calls = []

    async def call(self, agent, method, request, timeout_s):
        self.calls.append((agent, method))
        if isinstance(self.agents[agent], Exception):
            raise self.agents[agent]
        if self.agents[agent] is None:
            await asyncio.sleep(60)
        found = [one for one in self.agents[agent] if not request_model(request) or one.model == request.model]
        if method is LIST_TICKETS:
            start = int(request.page_token or 0)
            size = min(request.page_size, self.page)
            reply = pb.ListTicketsResponse(tickets=found[start : start + size])
            for one in reply.tickets:
                one.ClearField("input")
            if start + size < len(found):
                reply.next_page_token = str(start + size)
            return reply
        name = request.name
        if name in self.gone:
            raise TicketGone(name)
        one = next(one for one in found if one.name == name)
        if method is GET_TICKET:
            return pb.GetTicketResponse(ticket=one)
        assert method is ANSWER_TICKET
        return pb.AnswerTicketResponse(ticket=pb.Ticket(name=name, state=pb.TICKET_STATE_ANSWERED))


def request_model(request):
    return getattr(request, "model", "")


def inbox(mesh, all_s=30.0):
    facts = [replace(agent(0), agent=name, decisions={"tickets_open": 1}) for name in mesh.agents]
    return Inbox(mesh, lambda: facts, all_s)


def pages(mesh, size, model="", with_input=False):
    """All pages, one after the other."""
    found, after = [], None
    while True:
        page = asyncio.run(inbox(mesh).page(model, size, after, with_input))
        found.append(page)
        after = read_place(write_place(page.after))
        if after is None:
            return found


def listed(page):
    return [one.ticket.name.removeprefix("tickets/") for one in page.tickets]


@pytest.mark.parametrize("own_page", [1, 2, 100])
def test_tickets_of_all_agents_come_oldest_first_page_by_page(own_page):
    mesh = Mesh({"a": [ticket("a1", 1), ticket("a2", 4), ticket("a3", 5)], "b": [ticket("b1", 2), ticket("b2", 4)]},
                page=own_page)  # fmt: skip
    assert [listed(page) for page in pages(mesh, 2)] == [["a1", "b1"], ["a2", "b2"], ["a3"]]
    assert [listed(page) for page in pages(mesh, 5)] == [["a1", "b1", "a2", "b2", "a3"]]
    assert [one.agent for one in pages(mesh, 5)[0].tickets] == ["a", "b", "a", "b", "a"]
    assert [page.reported for page in pages(mesh, 2)] == [2, 2, 2], "as agents say of themselves"


def test_a_ticket_that_is_answered_between_pages_moves_nothing():
    mesh = Mesh({"a": [ticket(f"a{number}", number) for number in range(5)]})
    first = asyncio.run(inbox(mesh).page("", 2, None, False))
    del mesh.agents["a"][0]
    second = asyncio.run(inbox(mesh).page("", 2, first.after, False))
    assert (listed(first), listed(second)) == (["a0", "a1"], ["a2", "a3"])


def test_agents_that_can_not_be_asked_are_named_and_those_without_tickets_are_not():
    mesh = Mesh(
        {"a": [ticket("a1", 1)], "b": Unreachable("it is behind a wall"), "c": NotSupported("no tickets"), "d": None}
    )
    page = asyncio.run(inbox(mesh, all_s=0.5).page("", 5, None, False))
    assert listed(page) == ["a1"]
    assert page.unreachable == {"b": "it is behind a wall", "d": "there was no answer within 0.5 s"}


def test_that_an_agent_reported_no_tickets_is_told_where_it_could_not_be_asked():
    mesh = Mesh({"a": Unreachable("it is behind a wall"), "b": Unreachable("so is this one")})
    facts = [replace(agent(0), agent=name, decisions={"tickets_open": count}) for name, count in (("a", 0), ("b", 2))]
    page = asyncio.run(Inbox(mesh, lambda: facts).page("", 5, None, False))
    assert list(page.unreachable.items()) == [
        ("b", "so is this one"),
        ("a", "it is behind a wall; it last reported no open tickets"),
    ]


def test_guesses_that_are_too_large_together_come_one_by_one():
    class Large(Mesh):
        async def call(self, agent, method, request, timeout_s):
            if method is LIST_TICKETS and request.page_size > 1:
                raise InvalidInput("Received message larger than max (9 vs. 8)")
            return await super().call(agent, method, request, timeout_s)

    mesh = Large({"a": [ticket(f"a{number}", number) for number in range(3)]})
    assert [listed(page) for page in pages(mesh, 2)] == [["a0", "a1"], ["a2"]]


def test_an_error_of_our_own_is_not_taken_for_an_agents():
    with pytest.raises(ZeroDivisionError):
        asyncio.run(inbox(Mesh({"a": ZeroDivisionError()})).page("", 5, None, False))


def test_a_person_sees_labels_and_the_picture():
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    mesh = Mesh({"a": [ticket("a1", 1, pixels=pixels), ticket("a2", 2)]})
    first, second = asyncio.run(inbox(mesh).page("", 5, None, True)).tickets
    assert list(first.labels) == ["one", "two, or so", "three"]
    assert is_png(first.png)
    assert first.ticket.input.inputs[0].name == "image"
    assert (second.png, second.input_problem) == (b"", "")
    (without, _) = asyncio.run(inbox(mesh).page("", 5, None, False)).tickets
    assert (without.png, without.ticket.HasField("input")) == (b"", False)


def test_what_is_answered_while_a_page_is_made_is_not_on_it():
    mesh = Mesh({"a": [ticket("a1", 1), ticket("a2", 2), ticket("a3", 3)]}, gone=("tickets/a1", "tickets/a2"))
    assert [listed(page) for page in pages(mesh, 2, with_input=True)] == [[], ["a3"]]


def test_what_is_too_large_for_a_message_is_left_out_and_told():
    pictures = [np.zeros((side, 1000, 1), np.uint8) for side in (1960, 1000, 1000, 1000, 1000, 1000)]
    mesh = Mesh({"a": [ticket(f"a{number}", number, pixels=pixels) for number, pixels in enumerate(pictures)]})
    found = pages(mesh, 10, with_input=True)
    assert [name for page in found for name in listed(page)] == ["a0", "a1", "a2", "a3", "a4", "a5"]
    assert all(sum(one.ByteSize() for one in page.tickets) < 4 << 20 for page in found)
    assert "too much to be shown" in found[0].tickets[0].input_problem


def test_only_those_of_a_model():
    mesh = Mesh({"a": [ticket("a1", 1), ticket("a2", 2, model="faces")]})
    assert listed(asyncio.run(inbox(mesh).page("faces", 5, None, False))) == ["a2"]


def test_an_answer_goes_to_the_agent_that_has_the_ticket():
    mesh = Mesh({"a": [ticket("a1", 1)], "b": []})
    answered = asyncio.run(inbox(mesh).answer("a", "tickets/a1", "one"))
    assert answered.state == pb.TICKET_STATE_ANSWERED
    assert mesh.calls == [("a", ANSWER_TICKET)]


def test_a_classifier_without_labels_is_answered_by_number_and_what_is_none_not_at_all():
    guess = oip.ModelInferResponse()
    guess.outputs.add(name="boxes", datatype="FP32", shape=[1, 4])
    assert labels_of(guess) == []
    scores = guess.outputs.add(name="scores", datatype="FP32", shape=[1, 3])
    scores.parameters[names.SCORES_ARE].string_param = "logits"
    assert labels_of(guess) == ["0", "1", "2"]


@pytest.mark.parametrize("token", ["7", "[]", "[1]", '[1,"a",3]', '["1","a","b"]', "{", "[" * 100_000])
def test_a_token_that_is_none_is_refused(token):
    with pytest.raises(InvalidInput, match="page_token"):
        read_place(token)
