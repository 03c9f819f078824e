"""An agent that joined a control plane sends it its spans by itself, also those of when the control plane was away."""

import time

import grpc
import numpy as np

from tests.agent_process import until
from tests.control_plane_process import control_plane, following
from tests.versions import LABELS, make_version
from upriver import Client
from upriver.services import Stub
from upriver.v1 import question_pb2
from upriver.v1 import ticket_pb2 as pb
from upriver_control.spans.store import SpanStore, open_spans

TICKETS = pb.DESCRIPTOR.services_by_name["TicketService"]
QUESTIONS = question_pb2.DESCRIPTOR.services_by_name["QuestionService"]
NEVER = 2.0
MORE = '[tickets]\naccess = "network"\n[telemetry]\nqueue_spans = 96\nspool_mib = 0\nsample_rate = 1.0\n'
"""Nothing of this says where spans go. So few are kept, and in memory, that some must go."""
WAIT_S = 60
ORDINARY, IMPORTANT = 100, 8


def image():
    return np.zeros((14, 14, 1), np.float32)


def answer(agent, ticket):
    with grpc.insecure_channel(agent.address) as channel:
        request = pb.AnswerTicketRequest(name=f"tickets/{ticket}", label=LABELS[3])
        Stub(channel, TICKETS).AnswerTicket(request, timeout=WAIT_S)


def shown(plane, trace):
    metadata = (("authorization", f"Bearer {plane.token}"),)
    with grpc.insecure_channel(plane.address) as channel:
        request = question_pb2.GetTraceRequest(trace=trace)
        return Stub(channel, QUESTIONS).GetTrace(request, timeout=WAIT_S, metadata=metadata)


def answers_to(store, trace):
    """Spans of answers to tickets of a question; asking it again links to it too."""
    return [one for one in store.later(bytes.fromhex(trace)) if one.name == "upriver.ticket"]


def test_questions_of_before_and_while_it_was_away_are_there_with_their_times_and_what_came_of_them(tmp_path):
    unsure, sure = make_version(tmp_path, "1", NEVER), make_version(tmp_path, "2", 0.0, model="plain")
    with (
        control_plane(tmp_path / "plane") as plane,
        following(tmp_path, plane, "lonely", models=[unsure, sure], more=MORE, tiers=["device"]) as agent,
        Client(agent.address, timeout=WAIT_S) as client,
    ):
        database = open_spans(f"sqlite:///{plane.state}/spans.sqlite")
        store = SpanStore(database)

        def serve(trace):
            return next((one for one in store.trace(bytes.fromhex(trace)) if one.name == "upriver.serve"), None)

        until(lambda: "spans go to the control plane" in agent.log.read_text(), WAIT_S, "the exporter")
        first = client.infer("pattern", image())
        until(lambda: serve(first.trace_id), WAIT_S, "its spans")

        plane.kill()
        gone = time.time_ns()
        traces = [client.infer("pattern", image()).trace_id for _ in range(IMPORTANT)]
        answer(agent, first.ticket)
        sampled = [client.infer("plain", image()).trace_id for _ in range(ORDINARY)]
        until(lambda: "takes no spans" in agent.log.read_text(), WAIT_S, "the line that tells that nobody takes them")
        back = time.time_ns()
        plane.start()

        until(lambda: all(map(serve, traces)), WAIT_S, "what was important while it was away")
        assert all(gone < serve(trace).start_ns < back for trace in traces)
        (late,) = until(lambda: answers_to(store, first.trace_id), WAIT_S, "what came of the first")
        assert late.attributes["upriver.answered_by"] == "person"
        assert late.links[0].span == serve(first.trace_id).span
        assert gone < late.start_ns < back
        until(lambda: any(map(serve, sampled)), WAIT_S, "what there was room for of the others")
        assert not all(map(serve, sampled)), "some had to go"
        database.close()
        assert "upriver.ticket" in {later.name for later in shown(plane, first.trace_id).later}, "operators see it too"
