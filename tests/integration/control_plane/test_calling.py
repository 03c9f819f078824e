"""A control plane calls real agents over mutual TLS: tickets are answered, inputs seen and questions asked again."""

import io
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from PIL import Image

from tests.agent_process import running, until, write_config
from tests.certificates import make_certificates
from tests.control_plane_process import control_plane
from tests.versions import LABELS, make_version
from upriver import Client, Reason, TlsFiles
from upriver.services import Stub
from upriver.v1 import inbox_pb2, ticket_pb2
from upriver.v1 import question_pb2 as pb
from upriver_control.calling.inputs import NO_CONSENT, NOTHING

INBOX = inbox_pb2.DESCRIPTOR.services_by_name["InboxService"]
QUESTIONS = pb.DESCRIPTOR.services_by_name["QuestionService"]
WAIT_S = 60
LADDER = ["device", "cloud"]
NEVER, ALWAYS = 2.0, 0.0
ROWS = 3
RNG = np.random.default_rng(11)


def settings(folder, plane, mutual=True):
    """Of an agent: callers show a certificate, but where it is not `mutual`; everything else is as it is by default."""
    asked = f'client_ca = "{folder}/ca.pem"\n' if mutual else ""
    return f"""
[tls]
certificate = "{folder}/agent.pem"
key = "{folder}/agent.key"
upstream_ca = "{folder}/ca.pem"
upstream_certificate = "{folder}/agent.pem"
upstream_key = "{folder}/agent.key"
{asked}
[control_plane]
join = "{plane.join}"
[telemetry]
sample_rate = 1.0
[learning]
keep_inputs = true
holdout = 0.01
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, ["agent", "control"])
    return folder


@pytest.fixture(scope="module")
def plane(folder, tmp_path_factory):
    calling = f'[calling]\nca = "{folder}/ca.pem"\ncertificate = "{folder}/control.pem"\nkey = "{folder}/control.key"\n'
    with control_plane(tmp_path_factory.mktemp("control"), calling) as plane:
        yield plane


@pytest.fixture(scope="module")
def agents(plane, folder, tmp_path_factory):
    """A device that is never sure and one that lets nobody answer its tickets, below a cloud that is always sure."""
    place = tmp_path_factory.mktemp("agents")
    unsure, sure = make_version(place, "1", NEVER), make_version(place, "2", ALWAYS)
    plane.upriver("model", "publish", str(unsure))
    more = settings(folder, plane)
    with (
        running(write_config(place, "cloud-1", "cloud", LADDER, [sure], more), "cloud-1", "cloud") as cloud,
        running(write_config(place, "device-1", "device", LADDER, [unsure], more, [cloud]), "device-1") as device,
        running(
            write_config(place, "device-2", "device", LADDER, [unsure], settings(folder, plane, mutual=False)),
            "device-2",
        ) as closed,
        plane.stubs() as operator,
    ):
        until(lambda: len(operator.agents()) == 3, WAIT_S, "three agents")
        for agent in (device, cloud):
            until(lambda one=agent: "spans go to the control plane" in one.log.read_text(), WAIT_S, "the exporter")
        yield device, closed


@pytest.fixture
def client(agents, folder):
    """Of the device."""
    with calling(agents[0], folder) as client:
        yield client


def calling(agent, folder):
    return Client(
        agent.address, tls=TlsFiles(folder / "ca.pem", folder / "agent.pem", folder / "agent.key"), timeout=WAIT_S
    )


class Operator:
    """Calls with the operator's token."""

    def __init__(self, plane, channel, token=None):
        self._inbox, self._questions = Stub(channel, INBOX), Stub(channel, QUESTIONS)
        self._metadata = (("authorization", f"Bearer {token or plane.token}"),)

    def listed(self, **more):
        request = inbox_pb2.ListOpenTicketsRequest(**more)
        return self._inbox.ListOpenTickets(request, timeout=WAIT_S, metadata=self._metadata)

    def answer(self, agent, name, label):
        request = inbox_pb2.AnswerOpenTicketRequest(agent=agent, name=name, label=label)
        return self._inbox.AnswerOpenTicket(request, timeout=WAIT_S, metadata=self._metadata).ticket

    def trace(self, trace):
        return self._questions.GetTrace(pb.GetTraceRequest(trace=trace), timeout=WAIT_S, metadata=self._metadata)

    def input(self, trace, row=0):
        request = pb.GetQuestionInputRequest(trace=trace, row=row)
        return self._questions.GetQuestionInput(request, timeout=WAIT_S, metadata=self._metadata)

    def again(self, trace, row, **whom):
        request = pb.AskAgainRequest(trace=trace, row=row, **whom)
        return self._questions.AskAgain(request, timeout=WAIT_S, metadata=self._metadata)

    def wait(self, trace):
        """Until the touch point's spans have come."""

        def there():
            try:
                return self.trace(trace).question.agent == "device-1"
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                return False

        until(there, WAIT_S, "its spans")


@pytest.fixture
def operator(plane):
    with grpc.insecure_channel(plane.address) as channel:
        yield Operator(plane, channel)


def image():
    return RNG.random((14, 14, 1), dtype=np.float32)


def seen(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def drawn(pixels):
    return np.rint(pixels[:, :, 0] * 255).astype(np.uint8)


def code(run):
    with pytest.raises(grpc.RpcError) as raised:
        run()
    return raised.value.code(), raised.value.details()


def test_an_operators_answer_reaches_the_client_that_waits(client, operator):
    pixels = image()
    unsure = client.infer("pattern", pixels, max_tier="device")
    name = f"tickets/{unsure.ticket}"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.ticket(unsure).result, WAIT_S)
        found = operator.listed(include_input=True, page_size=100)
        (shown,) = [one for one in found.tickets if one.ticket.name == name]
        assert (shown.agent, shown.ticket.model, shown.input_problem) == ("device-1", "pattern", "")
        assert tuple(shown.labels) == LABELS
        assert np.array_equal(seen(shown.png), drawn(pixels))
        operator.wait(unsure.trace_id)
        kept = operator.input(unsure.trace_id)
        assert (kept.source, kept.label, kept.labelled_by) == ("ticket", unsure.label, "device-1")
        refused = code(lambda: operator.answer("device-1", name, "class-99"))
        assert refused[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert "class-99" in refused[1]
        ticket = operator.answer("device-1", name, LABELS[7])
        assert (ticket.state, ticket.answered_by) == (ticket_pb2.TICKET_STATE_ANSWERED, "person control")
        answer = waiting.result(WAIT_S)
    assert (answer.label, answer.agent, answer.reason) == (LABELS[7], "person", Reason.ANSWERED)
    assert name not in {one.ticket.name for one in operator.listed().tickets}
    assert code(lambda: operator.answer("device-1", name, LABELS[6]))[0] is grpc.StatusCode.FAILED_PRECONDITION


def test_an_agent_that_lets_nobody_in_is_named_with_its_setting_and_nothing_of_it_is_shown(agents, folder, operator):
    with calling(agents[1], folder) as client:
        unsure = client.infer("pattern", image())
    found = operator.listed(include_input=True)
    assert {one.agent for one in found.tickets} <= {"device-1"}
    assert list(found.unreachable) == ["device-2"]
    assert "tickets.access" in found.unreachable["device-2"]
    assert "tls.client_ca" in found.unreachable["device-2"]
    refused = code(lambda: operator.answer("device-2", f"tickets/{unsure.ticket}", LABELS[0]))
    assert refused[0] is grpc.StatusCode.UNAVAILABLE
    assert "tickets.access" in refused[1]


def test_only_operators_see_tickets_and_inputs_and_have_questions_asked(plane, agents):
    join = plane.join.partition("@")[0].removeprefix("upriver://")
    with grpc.insecure_channel(plane.address) as channel:
        stranger = Operator(plane, channel, token=join)
        for run in (
            stranger.listed,
            lambda: stranger.answer("device-1", "tickets/q", "1"),
            lambda: stranger.input("last"),
            lambda: stranger.again("last", 0, tier="cloud"),
        ):
            assert code(run)[0] is grpc.StatusCode.UNAUTHENTICATED


def test_an_agent_that_was_never_here_and_a_ticket_that_is_not_are_not_found(agents, operator):
    assert code(lambda: operator.answer("nobody", "tickets/q-1", "1"))[0] is grpc.StatusCode.NOT_FOUND
    assert code(lambda: operator.answer("device-1", "tickets/q-1", "1"))[0] is grpc.StatusCode.NOT_FOUND


def asked(client, operator, **options):
    """Asks some rows that the cloud answers; gives the trace, and a row that became a lesson with its answer and input.

    A row in a hundred is held out by its draw, and none of those becomes one.
    """
    pixels = RNG.random((ROWS, 14, 14, 1), dtype=np.float32)
    answers = client.infer("pattern", pixels, **options)
    assert all((answer.agent, answer.resolved) == ("cloud-1", True) for answer in answers)
    trace = answers[0].trace_id
    operator.wait(trace)

    def lesson():
        found = [operator.input(trace, row) for row in range(ROWS)]
        return next((row for row in range(ROWS) if found[row].unavailable != NOTHING), None)

    row = until(lambda: (row := lesson()) is not None and (row,), WAIT_S, "a lesson")[0]
    return trace, row, answers[row], pixels[row]


def test_another_tier_and_another_version_answer_the_same_question_and_it_is_known_that_they_did(client, operator):
    trace, row, answer, pixels = asked(client, operator, learn=True)
    found = operator.input(trace, row)
    assert (found.source, found.unavailable) == ("lesson", "")
    assert (found.label, found.labelled_by) == (answer.label, answer.agent)
    assert found.inputs[0].data == pixels.tobytes()
    assert np.array_equal(seen(found.png), drawn(pixels))

    again = operator.again(trace, row, tier="cloud")
    assert (again.answered_by, again.label, again.confident) == ("cloud-1", answer.label, True)
    assert again.score == pytest.approx(answer.confidence, abs=1e-6)
    here = operator.again(trace, row, agent="device-1")
    assert (here.answered_by, here.confident) == ("device-1", False)
    version = operator.again(trace, row, version="models/pattern/versions/1")
    assert (version.answered_by, version.confident, version.threshold) == ("control-plane", False, NEVER)
    assert version.score == pytest.approx(here.score, abs=1e-5)
    assert version.label in LABELS

    until(lambda: len(operator.trace(trace).later) >= 3, WAIT_S, "the spans of asking again")
    later = {one.trace for one in operator.trace(trace).later if one.name == "upriver.again"}
    assert later == {again.trace, here.trace, version.trace}

    def below():
        hops = operator.trace(again.trace).hops
        return [(hop.agent, hop.tier, hop.reason) for hop in hops]

    assert until(below, WAIT_S, "the cloud's span") == [("cloud-1", "cloud", "confident")]


def test_without_consent_nothing_is_shown_and_nobody_is_asked(client, operator):
    trace, row, _, _ = asked(client, operator)
    found = operator.input(trace, row)
    assert found.unavailable == NO_CONSENT
    assert (found.source, len(found.inputs), found.png) == ("", 0, b"")
    for whom in ({"tier": "cloud"}, {"agent": "device-1"}, {"version": "models/pattern/versions/1"}):
        refused = code(lambda whom=whom: operator.again(trace, row, **whom))
        assert refused[0] is grpc.StatusCode.FAILED_PRECONDITION
        assert NO_CONSENT in refused[1]


def test_whom_nobody_can_ask_is_told(client, operator):
    trace, row, _, _ = asked(client, operator, learn=True)

    def refused(**whom):
        return code(lambda: operator.again(trace, row, **whom))

    status, why = refused(tier="far-edge")
    assert status is grpc.StatusCode.FAILED_PRECONDITION
    assert "far-edge" in why
    assert refused(agent="nobody")[0] is grpc.StatusCode.NOT_FOUND
    assert refused(version="models/pattern/versions/99")[0] is grpc.StatusCode.NOT_FOUND
    status, why = refused(version="models/other/versions/1")
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert "'pattern'" in why
