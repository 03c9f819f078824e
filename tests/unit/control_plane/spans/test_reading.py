"""OTLP requests are read span by span, and written again with the bytes that came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from bench.many_spans import Mesh, export, question, requests
from upriver.errors import InvalidInput
from upriver.tracing import Attribute, SpanName
from upriver_control.spans.reading import MAX_ORIGIN_BYTES, facts_of, read, whose, written

TRACE, OWN = b"t" * 16, b"s" * 8


def request_of(*raws, resource=b"", scope=b""):
    """A request, put together by hand: field 2 of ScopeSpans is each span's bytes, whatever they are."""

    def field(number, value):
        return bytes([number << 3 | 2]) + varint(len(value)) + value

    def varint(value):
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    scopes = (field(1, scope) if scope else b"") + b"".join(field(2, raw) for raw in raws)
    return field(1, (field(1, resource) if resource else b"") + field(2, scopes))


def test_what_agents_send_is_read_and_written_the_same():
    for request, spans in requests(Mesh(), range(20), most=40):
        raw = request.SerializeToString()
        had = read(raw)
        assert (had.unread, had.reasons) == (0, ())
        assert sum(len(batch.spans) for batch in had.batches) == spans
        again = written((batch.origin, facts.raw) for batch in had.batches for facts in batch.spans)
        assert again == raw
        assert TracesData.FromString(again).resource_spans == request.resource_spans


def test_a_question_is_read_with_its_attributes_and_events():
    device = [span for agent, span in question(Mesh(), 1) if agent == "device-1"]
    (batch,) = read(export("device-1", device).SerializeToString()).batches
    serve, infer, decide, escalate = batch.spans
    assert (serve.name, serve.service, serve.agent, serve.kind) == (
        SpanName.SERVE, "upriver-agent", "device-1", Span.SPAN_KIND_SERVER,
    )  # fmt: skip
    assert serve.attributes[Attribute.PATH] == ("device-1", "cloud-1")
    assert serve.attributes[Attribute.ESCALATED] is True
    assert [event.name for event in decide.events] == ["upriver.row"]
    assert escalate.attributes[Attribute.UPSTREAM_AGENT] == "cloud-1"
    assert infer.attributes == {}  # nobody looks for them


def test_a_span_keeps_bytes_that_nobody_here_knows():
    # The name before the ids, and a field of a number that OTLP does not have yet.
    raw = b"\x2a\x01n" + b"\xfa\x7f\x03new" + b"\x12\x08" + OWN + b"\x0a\x10" + TRACE
    assert Span.FromString(raw).SerializeToString() != raw
    (batch,) = read(request_of(raw)).batches
    assert (batch.spans[0].trace, batch.spans[0].span, batch.spans[0].name) == (TRACE, OWN, "n")
    assert written([(batch.origin, batch.spans[0].raw)]) == request_of(raw)


def test_a_span_that_is_none_is_counted_and_others_are_read():
    good = Span(trace_id=TRACE, span_id=OWN).SerializeToString()
    had = read(request_of(b"\xff\xff", good, b"\x2a\x02\xff\xfe", b"\x0a", b"\x0b"))
    assert [facts.span for batch in had.batches for facts in batch.spans] == [OWN]
    assert had.unread == 4
    assert had.reasons == tuple(f"{size} bytes that are no span of OTLP" for size in (2, 4, 1))


@pytest.mark.parametrize("resource", [b"\xff\xff", b"\x0a" + b"\x80\x80\x02" + bytes(1 << 15)])
def test_spans_of_a_resource_that_can_t_be_kept_are_counted(resource):
    good = Span(trace_id=TRACE, span_id=OWN).SerializeToString()
    had = read(request_of(good, good, resource=resource))
    assert (had.batches, had.unread) == ([], 2)
    assert "resource or scope" in had.reasons[0]


def test_a_large_resource_is_refused():
    (batch,) = read(request_of(Span(trace_id=TRACE).SerializeToString())).batches
    with pytest.raises(InvalidInput, match="more than"):
        whose(batch.origin._replace(resource=bytes(MAX_ORIGIN_BYTES + 1)))


@pytest.mark.parametrize("request_", [b"\xff", b"\x0a\x05\x0a", b"{}", b"\x0a\x04\x1a\x02\xff\xff"])
def test_what_is_no_request_is_refused(request_):
    with pytest.raises(InvalidInput, match="no ExportTraceServiceRequest"):
        read(request_)


def test_an_empty_request_has_nothing():
    assert read(b"") == ([], 0, ())
    assert written([]) == b""


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    try:
        had = read(raw)
    except InvalidInput:
        return
    for batch in had.batches:
        assert all(isinstance(facts.trace, bytes) for facts in batch.spans)


def test_a_failed_span_says_why_and_a_parent_of_zeros_is_none():
    span = Span(trace_id=TRACE, span_id=OWN, parent_span_id=bytes(8))
    span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "no upstream"
    span.links.add(trace_id=b"l" * 16, span_id=b"m" * 8)
    facts = facts_of(span.SerializeToString(), ("shop", "till-1"), offset_ns=7)
    assert (facts.failed, facts.error, facts.parent, facts.offset_ns) == (True, "no upstream", b"", 7)
    assert [(link.trace, link.span) for link in facts.links] == [(b"l" * 16, b"m" * 8)]


def test_values_of_every_kind_are_read():
    def text(value):
        return AnyValue(string_value=value)

    nested = AnyValue(array_value=ArrayValue(values=[text("a"), AnyValue(array_value=ArrayValue(values=[text("b")]))]))
    pairs = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(int_value=1))]))
    span = Span(trace_id=TRACE, span_id=OWN)
    for key, value in {
        "text": text("t"),
        "yes": AnyValue(bool_value=True),
        "whole": AnyValue(int_value=-3),
        "real": AnyValue(double_value=0.5),
        "bytes": AnyValue(bytes_value=b"\0"),
        "nested": nested,
        "pairs": pairs,
        "none": AnyValue(),
    }.items():
        span.attributes.add(key=key, value=value)
    assert dict(facts_of(span.SerializeToString(), ("", ""), whole=True).attributes) == {
        "text": "t",
        "yes": True,
        "whole": -3,
        "real": 0.5,
        "bytes": b"\0",
        "nested": ("a", "b"),
        "pairs": ("k=1",),
        "none": "",
    }


def test_lists_in_lists_without_end_do_not_end_us():
    value = AnyValue(string_value="deep")
    for _ in range(30):
        value = AnyValue(array_value=ArrayValue(values=[value]))
    span = Span(trace_id=TRACE, span_id=OWN)
    span.attributes.add(key="deep", value=value)
    assert facts_of(span.SerializeToString(), ("", ""), whole=True).attributes["deep"] == ("…",)


def test_spans_of_an_origin_are_written_together():
    first, second = export("a", [Span(span_id=OWN)]), export("b", [Span(span_id=OWN)])
    batches = read(first.SerializeToString()).batches + read(second.SerializeToString()).batches
    kept = [(batch.origin, facts.raw) for batch in batches for facts in batch.spans]
    again = ExportTraceServiceRequest.FromString(written([kept[0], kept[1], kept[0]]))
    assert [len(resource.scope_spans[0].spans) for resource in again.resource_spans] == [2, 1]
