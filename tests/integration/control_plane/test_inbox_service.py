"""Tickets of real agents through a control plane: what waits anywhere is seen in one place, and answered from there."""

import io
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from PIL import Image

from tests.agent_process import until
from tests.control_plane_process import control_plane, following
from tests.versions import LABELS, make_version
from upriver import Client, Reason
from upriver.services import Stub
from upriver.v1 import inbox_pb2 as pb
from upriver.v1 import ticket_pb2

SERVICE = pb.DESCRIPTOR.services_by_name["InboxService"]
WAIT_S = 60
NEVER = 2.0
OPEN_TO_ALL = '[tickets]\naccess = "network"\n'


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control")) as plane:
        yield plane


@pytest.fixture(scope="module")
def agents(plane, tmp_path_factory):
    """One that lets anybody answer its tickets, and one that does not."""
    folder = tmp_path_factory.mktemp("agents")
    models = [make_version(folder, "1", NEVER)]
    with (
        following(folder, plane, "device-1", models=models, tiers=["device"], more=OPEN_TO_ALL) as open_one,
        following(folder, plane, "device-2", models=models, tiers=["device"]) as closed_one,
    ):
        with plane.stubs() as operator:
            until(lambda: len(operator.agents()) == 2, WAIT_S, "two agents")
        yield open_one, closed_one


class Operator:
    """Calls with the operator's token."""

    def __init__(self, plane, channel, token=None):
        self._stub = Stub(channel, SERVICE)
        self._metadata = (("authorization", f"Bearer {token or plane.token}"),)

    def listed(self, **more):
        request = pb.ListOpenTicketsRequest(**more)
        return self._stub.ListOpenTickets(request, timeout=WAIT_S, metadata=self._metadata)

    def answer(self, agent, name, label):
        request = pb.AnswerOpenTicketRequest(agent=agent, name=name, label=label)
        return self._stub.AnswerOpenTicket(request, timeout=WAIT_S, metadata=self._metadata).ticket


@pytest.fixture
def operator(plane):
    with grpc.insecure_channel(plane.address) as channel:
        yield Operator(plane, channel)


def image():
    return np.linspace(0.0, 1.0, 196, dtype=np.float32).reshape(14, 14, 1)


def code(run):
    with pytest.raises(grpc.RpcError) as raised:
        run()
    return raised.value.code(), raised.value.details()


def test_an_operators_answer_reaches_the_client_that_waits(agents, operator):
    device = agents[0]
    with Client(device.address, timeout=WAIT_S) as client, ThreadPoolExecutor(1) as pool:
        unsure = client.infer("pattern", image())
        waiting = pool.submit(client.ticket(unsure).result, WAIT_S)
        found = operator.listed(include_input=True, page_size=100)
        (shown,) = [one for one in found.tickets if one.ticket.name == f"tickets/{unsure.ticket}"]
        assert (shown.agent, shown.ticket.model, shown.input_problem) == ("device-1", "pattern", "")
        assert tuple(shown.labels) == LABELS
        picture = np.asarray(Image.open(io.BytesIO(shown.png)))
        assert picture.shape == (14, 14)
        assert np.array_equal(picture, np.rint(image()[:, :, 0] * 255).astype(np.uint8))
        refused = code(lambda: operator.answer("device-1", shown.ticket.name, "class-99"))
        assert refused[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert "class-99" in refused[1]
        ticket = operator.answer("device-1", shown.ticket.name, LABELS[7])
        assert (ticket.state, ticket.answered_by) == (ticket_pb2.TICKET_STATE_ANSWERED, "person")
        answer = waiting.result(WAIT_S)
    assert (answer.label, answer.agent, answer.reason) == (LABELS[7], "person", Reason.ANSWERED)
    assert shown.ticket.name not in {one.ticket.name for one in operator.listed().tickets}
    again = code(lambda: operator.answer("device-1", shown.ticket.name, LABELS[6]))
    assert again[0] is grpc.StatusCode.FAILED_PRECONDITION


def test_an_agent_that_lets_nobody_in_is_named_with_its_setting_and_nothing_of_it_is_shown(agents, operator):
    with Client(agents[1].address, timeout=WAIT_S) as client:
        unsure = client.infer("pattern", image())
    found = operator.listed(include_input=True)
    assert {one.agent for one in found.tickets} <= {"device-1"}
    assert list(found.unreachable) == ["device-2"]
    assert "tickets.access" in found.unreachable["device-2"]
    assert "calling.certificate" in found.unreachable["device-2"]
    refused = code(lambda: operator.answer("device-2", f"tickets/{unsure.ticket}", LABELS[0]))
    assert refused[0] is grpc.StatusCode.UNAVAILABLE
    assert "tickets.access" in refused[1]


def test_only_operators_see_tickets_and_answer_them(plane, agents):
    with grpc.insecure_channel(plane.address) as channel:
        stranger = Operator(plane, channel, token=plane.join.partition("@")[0].removeprefix("upriver://"))
        assert code(stranger.listed)[0] is grpc.StatusCode.UNAUTHENTICATED
        assert code(lambda: stranger.answer("device-1", "tickets/q", "1"))[0] is grpc.StatusCode.UNAUTHENTICATED


def test_an_agent_that_was_never_here_and_a_ticket_that_is_not_are_not_found(agents, operator):
    assert code(lambda: operator.answer("nobody", "tickets/q-1", "1"))[0] is grpc.StatusCode.NOT_FOUND
    assert code(lambda: operator.answer("device-1", "tickets/q-1", "1"))[0] is grpc.StatusCode.NOT_FOUND
