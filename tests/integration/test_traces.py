"""One trace per question over four processes, with the right parents; a dead collector costs nothing."""

import itertools
import secrets

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.agent_process import TRUSTING, mesh, running, until, write_config
from tests.otlp_receiver import attributes, receiving
from tests.versions import LABELS, make_version
from upriver.services import Stub
from upriver.v1 import ticket_pb2 as tickets

TIERS = ("device", "far-edge", "near-edge", "cloud")
SERVER, CLIENT = 2, 3  # OTLP's numbers of span kinds
IMAGE = np.random.default_rng(3).random((1, 14, 14, 1), dtype=np.float32)


def telemetry(endpoint, rate=0.0):
    return f'{TRUSTING}[telemetry]\notlp_endpoint = "{endpoint}"\nsample_rate = {rate}\n'


def infer(agent, headers=None, outputs=None):
    with triton.InferenceServerClient(agent.address) as client:
        image = triton.InferInput("image", list(IMAGE.shape), "FP32")
        image.set_data_from_numpy(IMAGE)
        response = client.infer("pattern", [image], headers=headers, outputs=outputs).get_response()
    return {
        key.removeprefix("upriver."): getattr(value, value.WhichOneof("parameter_choice"))
        for key, value in response.parameters.items()
    }


def traceparent(sampled):
    trace_id, parent = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, parent, {"traceparent": f"00-{trace_id}-{parent}-0{int(sampled)}"}


def exporting(agent):
    until(lambda: "spans go to" in agent.log.read_text(), what="the exporter")


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """Four agents of which only the cloud is sure, and what they export."""
    folder = tmp_path_factory.mktemp("traced")
    versions = {tier: make_version(folder, tier, 0.0 if tier == "cloud" else 2.0) for tier in TIERS}
    with (
        receiving() as receiver,
        mesh(folder, [(f"{t}-1", t, versions[t]) for t in TIERS], telemetry(receiver.endpoint)) as agents,
    ):
        for agent in agents.values():
            exporting(agent)
        yield agents, receiver


def test_an_escalated_question_is_one_trace_with_the_right_parents(traced):
    agents, receiver = traced
    trace_id, client_span, headers = traceparent(sampled=True)
    told = infer(agents["device-1"], headers)
    assert told["trace_id"] == trace_id
    serves = receiver.wait_for(trace_id, "upriver.serve", 4)
    escalates = receiver.wait_for(trace_id, "upriver.escalate", 3)
    by_agent = {attributes(span)["upriver.agent"]: span for _, span in serves}
    assert set(by_agent) == {f"{tier}-1" for tier in TIERS}
    assert {service["service.instance.id"] for service, _ in serves} == set(by_agent)
    assert by_agent["device-1"].parent_span_id.hex() == client_span
    for lower, upper in itertools.pairwise(TIERS):
        (hop,) = [span for _, span in escalates if attributes(span)["upriver.upstream.agent"] == f"{upper}-1"]
        assert hop.kind == CLIENT
        assert by_agent[f"{upper}-1"].kind == SERVER
        assert hop.parent_span_id == by_agent[f"{lower}-1"].span_id
        assert by_agent[f"{upper}-1"].parent_span_id == hop.span_id
        assert hop.start_time_unix_nano <= by_agent[f"{upper}-1"].start_time_unix_nano
        assert by_agent[f"{upper}-1"].end_time_unix_nano <= hop.end_time_unix_nano


def test_the_spans_say_who_answered_and_why(traced):
    agents, receiver = traced
    trace_id, _, headers = traceparent(sampled=True)
    infer(agents["device-1"], headers)
    serves = receiver.wait_for(trace_id, "upriver.serve", 4)
    device = next(attributes(s) for _, s in serves if attributes(s)["upriver.agent"] == "device-1")
    assert device["upriver.answered_by"] == "cloud-1"
    assert device["upriver.path"] == [f"{tier}-1" for tier in TIERS]
    assert device["upriver.reason"] == "confident"
    assert device["upriver.resolved"] is True
    assert device["upriver.answered_tier"] == "cloud"
    hops = {attributes(s)["upriver.agent"]: attributes(s)["upriver.hop"] for _, s in serves}
    assert hops == {f"{tier}-1": hop for hop, tier in enumerate(TIERS)}
    assert len({attributes(s)["upriver.version"] for _, s in serves}) == len(TIERS), "each tier runs its own"
    (decide, *_) = [s for _, s in receiver.wait_for(trace_id, "upriver.decide", 4)]
    event = {a.key: a.value for a in decide.events[0].attributes}
    assert 0 <= event["upriver.score"].double_value <= 1
    assert len(receiver.spans(trace_id, "upriver.infer")) == 4


def test_an_escalated_question_is_kept_even_when_the_caller_did_not_sample_it(traced):
    agents, receiver = traced
    trace_id, _, headers = traceparent(sampled=False)
    infer(agents["device-1"], headers)
    receiver.wait_for(trace_id, "upriver.serve", 4)


def test_without_a_caller_context_an_escalation_starts_a_trace_of_its_own(traced):
    agents, receiver = traced
    told = infer(agents["device-1"])
    serves = receiver.wait_for(told["trace_id"], "upriver.serve", 4)
    assert sum(not span.parent_span_id for _, span in serves) == 1


def test_a_local_answer_is_traced_iff_sampled(tmp_path):
    with receiving() as receiver:
        version = make_version(tmp_path, "1", 0.0)
        config = write_config(tmp_path, "sure", "device", ["device"], [version], telemetry(receiver.endpoint))
        with running(config, "sure") as agent:
            exporting(agent)
            unsampled, _, headers = traceparent(sampled=False)
            assert "trace_id" not in infer(agent)
            infer(agent, headers)
            sampled, parent, headers = traceparent(sampled=True)
            assert infer(agent, headers)["trace_id"] == sampled
            (serve,) = receiver.wait_for(sampled, "upriver.serve", 1)
            assert serve[1].parent_span_id.hex() == parent
            assert agent.terminate() == 0
        assert receiver.traces() == {sampled}  # what ended is flushed, and the others made no span
        assert unsampled not in receiver.traces()


def test_what_answers_a_ticket_links_to_the_question_that_got_it(tmp_path):
    with receiving() as receiver:
        version = make_version(tmp_path, "1", 2.0)
        more = telemetry(receiver.endpoint) + '[tickets]\naccess = "network"\n'
        with running(write_config(tmp_path, "lone", "device", ["device"], [version], more), "lone") as agent:
            exporting(agent)
            told = infer(agent)
            with grpc.insecure_channel(agent.address) as channel:
                stub = Stub(channel, tickets.DESCRIPTOR.services_by_name["TicketService"])
                (open_one,) = stub.ListTickets(tickets.ListTicketsRequest(), timeout=60).tickets
                stub.AnswerTicket(tickets.AnswerTicketRequest(name=open_one.name, label=LABELS[3]), timeout=60)
            ((_, serve),) = receiver.wait_for(told["trace_id"], "upriver.serve", 1)
            assert (open_one.trace, open_one.span) == (told["trace_id"], serve.span_id.hex())
            late = until(lambda: [span for span in receiver.order if span.name == "upriver.ticket"], what="its span")[0]
    (link,) = late.links
    assert (link.trace_id, link.span_id) == (serve.trace_id, serve.span_id)
    assert late.trace_id != serve.trace_id
    assert attributes(late)["upriver.answered_by"] == "person"


def test_failures_are_traced(tmp_path):
    with receiving() as receiver:
        version = make_version(tmp_path, "1", 0.0)
        config = write_config(tmp_path, "sure", "device", ["device"], [version], telemetry(receiver.endpoint))
        with running(config, "sure") as agent:
            exporting(agent)
            trace_id, _, headers = traceparent(sampled=False)
            with triton.InferenceServerClient(agent.address) as client:
                wrong = triton.InferInput("image", [1, 2], "FP32")
                wrong.set_data_from_numpy(np.zeros((1, 2), np.float32))
                with pytest.raises(triton.InferenceServerException):
                    client.infer("pattern", [wrong], headers=headers)
            (found,) = receiver.wait_for(trace_id, "upriver.serve", 1)
            assert attributes(found[1])["upriver.error.reason"] == "INVALID_INPUT"
            assert found[1].status.code == 2


def test_what_a_full_agent_refuses_is_traced(tmp_path):
    with receiving() as receiver:
        low, top = make_version(tmp_path, "low", 2.0), make_version(tmp_path, "top", 0.0)
        tiers = ["device", "cloud"]
        with running(write_config(tmp_path, "top", "cloud", tiers, [top], TRUSTING), "top", "cloud") as above:
            more = telemetry(receiver.endpoint).replace('"network"', '"network"\nhop_delay_ms = 3000', 1)
            more += "[serving]\nmax_inflight = 1\n"
            with running(write_config(tmp_path, "full", "device", tiers, [low], more, [above]), "full") as agent:
                exporting(agent)
                with triton.InferenceServerClient(agent.address) as client:
                    image = triton.InferInput("image", list(IMAGE.shape), "FP32")
                    image.set_data_from_numpy(IMAGE)
                    client.async_infer("pattern", [image], callback=lambda *_: None)
                    until(
                        lambda: client.get_inference_statistics("pattern").model_stats[0].inference_count == 1,
                        what="the question that takes the only place",
                    )
                    trace_id, _, headers = traceparent(sampled=False)
                    with pytest.raises(triton.InferenceServerException, match="already"):
                        infer(agent, headers)
                (found,) = receiver.wait_for(trace_id, "upriver.serve", 1)
                assert attributes(found[1])["upriver.error.reason"] == "QUEUE_FULL"


def test_a_dead_collector_changes_nothing_for_callers(tmp_path):
    with receiving() as receiver:
        gone = receiver.endpoint
    version = make_version(tmp_path, "1", 0.0)
    config = write_config(tmp_path, "sure", "device", ["device"], [version], telemetry(gone, rate=1.0))
    with running(config, "sure") as agent:
        exporting(agent)
        for _ in range(50):
            assert infer(agent)["reason"] == "confident"
        assert agent.terminate() == 0
        assert "Traceback" not in agent.log.read_text()
