"""The way to a ticket's answer: pure, with time and chance as arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.client.test_request import plain_response
from upriver.answer import Answer
from upriver.errors import (
    DeadlineExpired,
    Draining,
    InvalidInput,
    NotAllowed,
    NotFound,
    QueueFull,
    TicketGone,
    Unreachable,
)
from upriver.request import parse_response
from upriver.tickets import (
    LONGEST_PAUSE_S,
    LONGEST_WAIT_S,
    Seek,
    TicketState,
    TicketWaiting,
    parse_ticket,
    ticket_id,
    watch_request,
)
from upriver.v1 import ticket_pb2 as pb

PASSING = (Unreachable("u"), Draining("d"), QueueFull("q"), DeadlineExpired("l"))


def wait_s(request):
    return request.wait_time.seconds + request.wait_time.nanos / 1e9


def test_it_asks_the_agent_to_wait_as_long_as_there_is_time_and_no_longer_than_a_call_may_take():
    seek = Seek("q-1", ["a"], 0, deadline=100.0)
    request, timeout = seek.request(0.0)
    assert (request.name, wait_s(request)) == ("tickets/q-1", LONGEST_WAIT_S)
    assert LONGEST_WAIT_S < timeout <= 100.0
    request, timeout = seek.request(99.5)
    assert (wait_s(request), timeout) == (0.5, 0.5)
    with pytest.raises(DeadlineExpired, match="q-1 was not answered in time"):
        seek.request(100.0)


def test_an_agent_that_waited_is_asked_again_at_once_and_one_that_did_not_more_and_more_slowly():
    seek = Seek("q-1", ["a"], 0, deadline=1000.0)
    seek.request(0.0)
    assert seek.open(LONGEST_WAIT_S, 0.9) == 0.0
    pauses = []
    for _ in range(8):
        seek.request(100.0)
        pauses.append(seek.open(100.0, 0.9))
    assert pauses == sorted(pauses)
    assert pauses[0] > 0
    assert pauses[-1] == pytest.approx(0.9 * LONGEST_PAUSE_S)


def test_where_too_many_wait_it_asks_without_waiting_now_and_then():
    seek = Seek("q-1", ["a", "b"], 0, deadline=100.0)
    seek.request(0.0)
    seek.failed(QueueFull("full"), 0.0, 0.5)
    assert seek.address == "a"
    request, _ = seek.request(1.0)
    assert wait_s(request) == 0.0
    assert seek.open(1.0, 0.5) == pytest.approx(LONGEST_PAUSE_S / 2)
    assert wait_s(seek.request(2.0)[0]) == LONGEST_WAIT_S


def test_whoever_does_not_know_the_ticket_is_passed_over_and_when_none_does_that_is_told():
    seek = Seek("q-1", ["a", "b"], 1, deadline=100.0)
    assert seek.address == "b"
    assert seek.failed(NotFound("not at b"), 0.0, 0.5) == 0.0
    assert seek.address == "a"
    assert seek.failed(Unreachable("a is gone"), 0.0, 0.5) > 0.0
    assert seek.failed(NotFound("not at b"), 1.0, 0.5) == 0.0
    with pytest.raises(NotFound, match="not at a"):
        seek.failed(NotFound("not at a"), 2.0, 0.5)


@pytest.mark.parametrize("error", [TicketGone("gone"), NotAllowed("no"), InvalidInput("wrong")])
def test_what_does_not_pass_is_told_at_once(error):
    with pytest.raises(type(error)):
        Seek("q-1", ["a", "b"], 0, deadline=100.0).failed(error, 0.0, 0.5)


@given(
    agents=st.integers(1, 4),
    errors=st.lists(st.sampled_from(PASSING), max_size=40),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_it_goes_on_until_the_deadline_and_never_waits_beyond_it(agents, errors, chance):
    addresses = [f"a{number}" for number in range(agents)]
    seek, now, asked = Seek("q-1", addresses, 0, deadline=30.0), 0.0, set()
    for error in errors:
        if now >= 30.0:
            break
        asked.add(seek.address)
        _, timeout = seek.request(now)
        assert 0 < timeout <= 30.0 - now
        pause = seek.failed(error, now, chance)
        assert 0 <= pause <= min(LONGEST_PAUSE_S, 30.0 - now)
        now += pause + 0.001
    passing = [error for error in errors if not isinstance(error, QueueFull)]
    assert len(asked) <= agents
    if len(passing) >= agents and now < 30.0 and len(errors) == len(passing):
        assert asked == set(addresses)


def test_a_watch_of_named_tickets_begins_with_what_has_come_and_of_all_with_what_comes():
    assert watch_request(["q-1"], None).since == 0
    assert watch_request(["q-1"], 7).since == 7
    assert not watch_request([], None).HasField("since")
    assert watch_request([], 7).since == 7


def message(**fields):
    made = pb.Ticket(
        name="tickets/q-1", model="m", state=pb.TICKET_STATE_OPEN, waiting=pb.TICKET_WAITING_MODEL, **fields
    )
    made.guess.CopyFrom(_response())
    made.create_time.FromSeconds(1000)
    return made


def _response():
    return plain_response(np.array([[0.25, 0.75]], np.float32), scores_are="probabilities", labels="a,b")


def test_a_ticket_is_read_with_its_guess_and_later_its_answer():
    ticket = parse_ticket(message())
    assert (ticket.id, ticket.state, ticket.waiting, ticket.answer) == (
        "q-1",
        TicketState.OPEN,
        TicketWaiting.MODEL,
        None,
    )
    assert (ticket.guess.label, ticket.created_at, ticket.answered_at) == ("b", 1000.0, 0.0)
    told = message(answered_by="cloud")
    told.state, told.waiting = pb.TICKET_STATE_ANSWERED, pb.TICKET_WAITING_UNSPECIFIED
    told.answer.CopyFrom(_response())
    told.answer_time.FromMilliseconds(1002500)
    ticket = parse_ticket(told)
    assert (ticket.state, ticket.waiting, ticket.answered_by) == (TicketState.ANSWERED, TicketWaiting.NOTHING, "cloud")
    assert ticket.answer is not None
    assert ticket.answer.latency_s == 2.5


def test_a_ticket_is_named_by_its_id_its_name_or_its_answer():
    answer = parse_response(_response(), 1, 0.0)[0]
    assert isinstance(answer, Answer)
    assert ticket_id("q-1") == ticket_id("tickets/q-1") == "q-1"
    with pytest.raises(InvalidInput, match="no ticket"):
        ticket_id(answer)
