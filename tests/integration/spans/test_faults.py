"""What may be wrong with spans, and with where they are kept, is told to who sent them; and nothing else suffers."""

import os
import sqlite3
import time
from contextlib import closing

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.many_spans import Mesh, export, question
from tests.agent_process import until
from tests.control_plane_process import control_plane
from tests.otlp_bytes import ByteReceiver, byte_receiver, exporting
from upriver.tracing import SENT_NS
from upriver_control.spans.filters import Filter
from upriver_control.spans.store import SpanStore, open_spans


class Sender:
    """A control plane and whoever sends it spans."""

    def __init__(self, plane, channel):
        self.plane = plane
        self.send = exporting(channel, plane.join.removeprefix("upriver://").partition("@")[0])

    def spans(self, *spans, metadata=()):
        answer = self.send(export("till-1", spans).SerializeToString(), *metadata)
        return ExportTraceServiceResponse.FromString(answer).partial_success

    def serves(self):
        """How long an operator waits for an answer, in seconds."""
        began = time.monotonic()
        with self.plane.stubs() as operator:
            operator.agents()
        return time.monotonic() - began


def some_span(**told):
    return Span(**{"trace_id": os.urandom(16), "span_id": os.urandom(8), "start_time_unix_nano": time.time_ns()} | told)


@pytest.fixture(scope="module")
def sender(tmp_path_factory):
    with (
        control_plane(tmp_path_factory.mktemp("spans")) as plane,
        grpc.insecure_channel(plane.address) as channel,
    ):
        yield Sender(plane, channel)


@pytest.fixture
def store(sender):
    database = open_spans(f"sqlite:///{sender.plane.state}/spans.sqlite")
    yield SpanStore(database)
    database.close()


def refused(sender, raw):
    with pytest.raises(grpc.RpcError) as told:
        sender.send(raw)
    return told.value


def test_what_is_no_request_is_invalid(sender):
    error = refused(sender, b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "ExportTraceServiceRequest" in error.details()


def test_wrong_spans_are_told_and_right_ones_beside_them_are_kept(sender, store):
    good = some_span()
    partial = sender.spans(
        some_span(trace_id=b"short"), good, some_span(span_id=bytes(8)), some_span(name="n" * 70_000)
    )
    assert partial.rejected_spans == 3
    assert "trace id" in partial.error_message
    assert "70" in partial.error_message
    assert [facts.span for facts in store.trace(good.trace_id)] == [good.span_id]


def test_a_huge_request_is_refused_and_the_next_one_is_taken(sender):
    error = refused(sender, export("till-1", [some_span(name="n" * (5 << 20))]).SerializeToString())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not sender.spans(some_span()).rejected_spans


def test_the_same_spans_again_are_taken_and_are_there_once(sender, store):
    span = some_span()
    assert not any(sender.spans(span).rejected_spans for _ in range(3))
    assert len(store.trace(span.trace_id)) == 1


def test_a_question_of_a_clock_two_days_off_is_listed_when_it_was_asked(sender, store):
    two_days, now = 2 * 86_400 * 10**9, time.time_ns()
    mesh = Mesh(seed=2, began_ns=now - two_days)
    spans = [span for _, span in question(mesh, 0)]
    sender.spans(*spans, metadata=((SENT_NS, str(now - two_days)),))
    (hop,) = store.questions(Filter(search=mesh.trace(0).hex())).questions
    assert abs(hop.at_ns - now) < 60 * 10**9
    ahead = Mesh(seed=3, began_ns=now + two_days)
    sender.spans(*(span for _, span in question(ahead, 0)))
    (hop,) = store.questions(Filter(search=ahead.trace(0).hex())).questions
    assert abs(hop.at_ns - now) < 60 * 10**9


def test_a_locked_store_asks_for_spans_again_and_operators_are_served(sender, store):
    span = some_span()
    holder = sqlite3.connect(sender.plane.state / "spans.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        error = refused(sender, export("till-1", [span]).SerializeToString())
        assert sender.serves() < 2.0
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    (details,) = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    info = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(info)
    assert info.retry_delay.seconds == 1
    assert not sender.spans(span).rejected_spans
    assert len(store.trace(span.trace_id)) == 1


def test_another_receiver_gets_the_same_spans_bit_for_bit_over_outages_of_both(tmp_path):
    unknown = b"\x2a\x01n" + b"\xfa\x7f\x03new" + b"\x39" + time.time_ns().to_bytes(8, "little")
    with byte_receiver() as receiver:
        settings = f'[spans]\nforward = "{receiver.url}"\n'
        with control_plane(tmp_path / "spans", settings) as plane:
            token = plane.join.removeprefix("upriver://").partition("@")[0]
            raws, ids = [], []

            def send(count):
                for _ in range(count):
                    own = os.urandom(8)
                    # Fields in an order of their own, and one that nobody knows.
                    raw = unknown + b"\x12\x08" + own + b"\x0a\x10" + os.urandom(16)
                    scope = b"\x12" + bytes([len(raw)]) + raw
                    resource = b"\x12" + bytes([len(scope)]) + scope
                    exporter(b"\x0a" + bytes([len(resource)]) + resource)
                    raws.append(raw)
                    ids.append(own)

            with grpc.insecure_channel(plane.address) as channel:
                exporter = exporting(channel, token)
                send(3)
                receiver.wait_for(3)
                until(lambda: noted(plane) == 3, what="the note of what was sent")
                receiver.code = grpc.StatusCode.UNAVAILABLE
                send(3)
            plane.kill()
            plane.start()
            with grpc.insecure_channel(plane.address) as channel:
                exporter = exporting(channel, token)
                send(3)
                receiver.code = None
                found = receiver.wait_for(9)
        assert found == ids  # in order, none twice
        got = b"".join(receiver.requests)
        assert all(got.count(raw) == 1 for raw in raws)


def noted(plane):
    """The id of the last span that was sent on."""
    with closing(sqlite3.connect(plane.state / "spans.sqlite")) as connection:
        return connection.execute("SELECT id FROM cursors WHERE name LIKE 'forward:%'").fetchone()[0]


def test_headers_for_the_receiver_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=eu,Authorization=Bearer%20theirs")
    receiver = ByteReceiver()
    try:
        with (
            control_plane(tmp_path / "spans", f'[spans]\nforward = "{receiver.url}"\n') as plane,
            grpc.insecure_channel(plane.address) as channel,
        ):
            Sender(plane, channel).spans(some_span())
            receiver.wait_for(1)
        assert receiver.metadata[0]["x-tenant"] == "eu"
        assert receiver.metadata[0]["authorization"] == "Bearer theirs"
    finally:
        receiver.stop()
