"""QuestionService over gRPC: lists, figures, traces and what comes, and what it says when something is wrong."""

import sqlite3
import time

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from bench.many_spans import Mesh, question, requests
from tests.agent_process import until
from tests.question_server import QUESTIONS, asking, question_server
from tests.unit.control_plane.fleet_facts import active, agent
from upriver.services import Stub
from upriver.tracing import SpanName
from upriver.v1 import question_pb2 as pb
from upriver_control.spans.following import PAUSE_S
from upriver_control.store.audits import Audit

LONG_AGO_NS = 1_750_000_000 * 10**9
MESH = Mesh(devices=4, clouds=2, began_ns=LONG_AGO_NS)
COUNT = 60
DIGEST = "sha256:" + "1" * 64


def fill(server, mesh, indices):
    for request, _ in requests(mesh, indices):
        server.intake.offer(request.SerializeToString()).result(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with question_server(tmp_path_factory.mktemp("questions")) as running:
        fill(running, MESH, range(COUNT))
        yield running


@pytest.fixture(scope="module")
def ask(server):
    with asking(server) as asker:
        yield asker


def refused(call, *arguments, **more):
    with pytest.raises(grpc.RpcError) as told:
        call(*arguments, **more)
    return told.value


def test_pages_have_every_question_once_newest_first(ask):
    found, token = [], ""
    while True:
        page = ask.list(page_size=7, page_token=token)
        found += page.questions
        token = page.next_page_token
        if not token:
            break
    assert [one.trace for one in found] == [MESH.trace(index).hex() for index in reversed(range(COUNT))]


def test_a_question_that_went_up_is_listed_with_the_threshold_of_who_answered_it(ask):
    found = {one.trace: one for one in ask.list().questions}
    up = found[MESH.trace(1).hex()]
    assert (up.agent, up.answered_by, up.threshold) == ("device-1", "cloud-1", 0.7)
    assert list(up.flags) == [pb.QUESTION_FLAG_ESCALATED]
    assert up.time.ToNanoseconds() == MESH.began_ns + MESH.every_ns


def test_a_filter_means_the_same_in_the_list_and_in_the_figures(ask):
    wanted = pb.QuestionFilter(model="faces", tier="cloud", flags=[pb.QUESTION_FLAG_ESCALATED])
    listed, figures = ask.list(wanted).questions, ask.summarize(wanted)
    assert len(listed) == figures.kept == 15
    assert figures.estimated == 15
    assert {one.model for one in listed} == {"faces"}
    assert sum(sum(one.by_tier.values()) for one in figures.bins) == 15
    assert [(one.name, one.count) for one in figures.answered_tiers] == [("cloud", 15)]
    assert figures.from_time == min((one.time for one in listed), key=lambda told: told.ToNanoseconds())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (pb.QuestionFilter(flags=[pb.QUESTION_FLAG_UNSPECIFIED]), "no flag 0"),
        (pb.QuestionFilter(model="n" * 201), "model"),
        (pb.QuestionFilter(agent="a\0b"), "agent"),
        (pb.QuestionFilter(from_time=Timestamp(seconds=-1)), "from_time"),
        (pb.QuestionFilter(until_time=Timestamp(seconds=2**40)), "until_time"),
        (pb.QuestionFilter(min_latency=Duration(seconds=-1)), "min_latency"),
        (pb.QuestionFilter(from_time=Timestamp(seconds=9), until_time=Timestamp(seconds=8)), "until"),
    ],
)
def test_a_wrong_filter_is_told_by_name(ask, wrong, told):
    for call in (ask.list, ask.summarize, lambda filter_: list(ask.watch(filter_))):
        error = refused(call, wrong)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert told in error.details()


def test_a_page_token_serves_only_the_filter_that_it_was_given_for(ask):
    token = ask.list(page_size=1).next_page_token
    for wrong in ("nonsense", token[:-3], token + "AAAA", "é"):
        error = refused(ask.list, page_token=wrong)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "filter" in refused(ask.list, pb.QuestionFilter(model="faces"), page_token=token).details()
    assert "page_size" in refused(ask.list, page_size=-1).details()


def test_a_trace_is_got_by_its_id_its_questions_a_tickets_and_as_the_last(ask):
    asked = f"q-{MESH.seed:016x}-{COUNT - 1:016x}"
    by_trace = ask.trace(MESH.trace(COUNT - 1).hex())
    for name in (asked, f"tickets/{asked}", f"lessons/{asked}.2", "last", MESH.trace(COUNT - 1).hex().upper()):
        assert ask.trace(name) == by_trace
    assert by_trace.question.question == asked
    assert [hop.agent for hop in by_trace.hops] == ["device-3", "cloud-1"]
    assert len(by_trace.spans) == 7
    assert by_trace.spans[0].depth == 0
    assert by_trace.url == f"http://tempo/trace/{by_trace.question.trace}"
    assert by_trace.why.startswith("cloud-1 (cloud) answered")
    assert not by_trace.otlp


def test_a_trace_that_is_not_here_is_not_found_and_what_is_no_id_is_invalid(ask):
    for name in ("0" * 31 + "1", "q-" + "0" * 16 + "-" + "f" * 16, "q-" + "0" * 16 + "-" + "f" * 16 + ".1.2"):
        assert refused(ask.trace, name).code() is grpc.StatusCode.NOT_FOUND
    for name in ("", "device-1", "q-1", "last ", "é" * 500):
        assert refused(ask.trace, name).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_spans_as_they_came_are_got_when_they_are_asked_for(ask):
    told = TracesData.FromString(ask.trace(MESH.trace(3).hex(), raw=True).otlp)
    spans = [span for resource in told.resource_spans for scope in resource.scope_spans for span in scope.spans]
    key = Span.SerializeToString
    assert sorted(map(key, spans)) == sorted(key(span) for _, span in question(MESH, 3))


def test_audits_and_what_came_later_are_told_with_the_question(server, ask):
    asked, trace = f"q-{MESH.seed:016x}-{5:016x}", MESH.trace(5)
    audit = Audit(
        agent="device-1", question=asked, row=0, model="faces", tier="device", region="eu", version_digest=DIGEST,
        policy_digest=DIGEST, rules_digest=DIGEST, asked=1.0, confidence=None, passes=False, answered_here=False,
        brought=True, agrees=True,
    )  # fmt: skip
    server.audits.submit([audit], 1.0)
    promoted = Span(
        trace_id=b"p" * 16,
        span_id=b"p" * 8,
        name=SpanName.PROMOTE,
        start_time_unix_nano=MESH.began_ns + 10**12,
        links=[Span.Link(trace_id=trace, span_id=b"l" * 8)],
    )
    server.keep("device-1", [promoted])
    found = ask.trace(asked)
    assert [(one.agent, one.row, one.HasField("confidence")) for one in found.audits] == [("device-1", 0, False)]
    assert [(one.name, one.agent, one.trace) for one in found.later] == [
        (SpanName.PROMOTE, "device-1", (b"p" * 16).hex())
    ]


def test_questions_are_told_when_they_come_and_only_those_that_are_wanted(server, ask):
    mesh = Mesh(devices=4, clouds=2, seed=9, began_ns=LONG_AGO_NS)
    watch = ask.watch(pb.QuestionFilter(tier="cloud", model="faces"))
    assert not next(watch).questions
    fill(server, mesh, range(8))
    found = []
    for told in watch:
        found += told.questions
        if len(found) >= 2:
            break
    watch.cancel()
    assert sorted(one.trace for one in found) == sorted(mesh.trace(index).hex() for index in (1, 5))
    assert {one.threshold for one in found} <= {0.7, 0.0}


def test_who_looks_is_told_that_nothing_comes_and_it_is_noticed_when_nobody_looks_any_more(server, ask):
    watch = ask.watch()
    assert [len(next(watch).questions) for _ in range(2)] == [0, 0]
    watch.cancel()
    until(lambda: not server.following.is_watched, what="that it is noticed that nobody looks")


def test_of_many_at_once_the_newest_are_told_and_the_others_counted(server, ask):
    mesh = Mesh(seed=11)
    watch = ask.watch()
    next(watch)
    spans = [span for index in range(120) for name, span in question(mesh, index)]
    server.keep("device-0", spans)
    told = next(watch)
    while not told.questions:
        told = next(watch)
    watch.cancel()
    assert (len(told.questions), told.skipped) == (50, 70)
    assert told.questions[0].trace == mesh.trace(119).hex()


def test_there_is_a_pause_between_messages_of_questions_however_often_some_come(server, ask):
    mesh = Mesh(seed=12)
    watch = ask.watch()
    next(watch)
    at = []
    for index in range(3):
        server.keep("device-0", [span for _, span in question(mesh, index)])
        told = next(watch)
        while not told.questions:
            told = next(watch)
        at.append(time.monotonic())
    watch.cancel()
    # What is late at the caller comes nearer to the next, so the two pauses are looked at together.
    assert at[2] - at[0] > PAUSE_S


def test_the_store_tells_how_it_is_and_of_agents_that_never_sent_anything(server, ask):
    names = ("device-0", "device-1", "mute", "idle")
    facts = {name: agent(1, active(rows=0 if name == "idle" else 5), agent=name) for name in names}
    server.agents = facts
    told = until(lambda: told if (told := ask.span_store()).silent_agents else None, what="the mute one to be noticed")
    assert list(told.silent_agents) == ["mute"]
    assert told.spans >= 300
    assert told.spans == told.received
    assert 0 < told.bytes < told.max_bytes
    assert told.oldest_time.seconds > 1_700_000_000
    assert (told.trouble, told.forward) == ("", "")
    server.keep("device-0", [question(MESH, 0)[0][1], Span(trace_id=b"short")])
    again = ask.span_store()
    assert (again.duplicates, again.rejected) == (told.duplicates + 1, told.rejected + 1)


def test_a_locked_store_is_told_in_words_and_traces_are_still_shown(server, ask):
    holder = sqlite3.connect(server.file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Exception, match="locked"):
            server.keep("device-1", [Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1)])
        assert "locked" in ask.span_store().trouble
        found = ask.trace(MESH.trace(1).hex())
        assert len(found.spans) == 7
        assert any("can't be kept" in line and "locked" in line for line in found.missing)
        assert "locked" in refused(ask.trace, "0" * 31 + "1").details()
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    server.keep("device-1", [Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1)])
    assert ask.span_store().trouble == ""


def test_only_operators_may_look(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = Stub(channel, QUESTIONS)
        error = refused(stub.ListQuestions, pb.ListQuestionsRequest(), timeout=30)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_filter_by_a_hops_attribute_looks_at_every_hop(ask):
    found = ask.list(pb.QuestionFilter(agent="cloud-1", every_hop=True), page_size=1000).questions
    assert {one.agent for one in found} == {"cloud-1"}
    assert {one.hop for one in found} == {1}
