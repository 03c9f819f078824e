"""W3C trace context in and out of gRPC metadata, whatever callers send."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from upriver import tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"

trace_ids = st.integers(1, 2**128 - 1)
span_ids = st.integers(1, 2**64 - 1)
other_metadata = st.lists(
    st.tuples(st.sampled_from(["user-agent", "upriver-question", "x-bin"]), st.text() | st.binary()), max_size=4
)


def traceparent(trace_id: str = TRACE, span_id: str = SPAN, flags: str = "01") -> tuple[str, str]:
    return "traceparent", f"00-{trace_id}-{span_id}-{flags}"


@given(trace_ids, span_ids, st.booleans(), other_metadata, other_metadata)
def test_what_goes_out_comes_in(
    trace_id: int,
    span_id: int,
    sampled: bool,
    before: list[tuple[str, str | bytes]],
    after: list[tuple[str, str | bytes]],
) -> None:
    sent = SpanContext(trace_id, span_id, False, TraceFlags(int(sampled)), TraceState([("vendor", "value")]))
    outgoing = tracing.inject(trace.set_span_in_context(NonRecordingSpan(sent), Context()))
    context = tracing.extract([*before, *outgoing, *after])
    assert context is not None
    got = tracing.span_context(context)
    assert (got.trace_id, got.span_id, got.trace_flags.sampled) == (trace_id, span_id, sampled)
    assert got.is_remote
    assert dict(got.trace_state) == {"vendor": "value"}


@given(other_metadata)
def test_a_caller_without_a_trace_gives_none(metadata: list[tuple[str, str | bytes]]) -> None:
    assert tracing.extract(metadata) is None
    assert tracing.extract([*metadata, ("tracestate", "vendor=value")]) is None


@given(st.text(max_size=80) | st.from_regex(r"00-[0-9a-g]{32}-[0-9a-g]{16}-0[01]", fullmatch=True))
def test_a_malformed_traceparent_counts_as_none(value: str) -> None:
    context = tracing.extract([("traceparent", value)])
    if context is not None:  # then it was well formed, and its identity is the one that was sent
        assert tracing.trace_id_of(tracing.span_context(context)) in value


def test_identities_of_zeros_and_bytes_count_as_none() -> None:
    assert tracing.extract([traceparent(trace_id="0" * 32)]) is None
    assert tracing.extract([traceparent(span_id="0" * 16)]) is None
    assert tracing.extract([("traceparent", traceparent()[1].encode())]) is None


def test_of_several_traceparents_none_is_believed() -> None:
    assert tracing.extract([traceparent(), traceparent(trace_id="f" * 32)]) is None


def test_several_tracestates_are_one_list() -> None:
    context = tracing.extract([traceparent(), ("tracestate", "a=1"), ("tracestate", "b=2")])
    assert context is not None
    assert dict(tracing.span_context(context).trace_state) == {"a": "1", "b": "2"}


def test_no_trace_sends_nothing_and_has_no_name() -> None:
    assert tracing.inject(Context()) == ()
    assert tracing.trace_id_of(tracing.span_context(Context())) == ""


def test_a_trace_is_named_in_32_hexadecimal_digits() -> None:
    context = tracing.extract([traceparent()])
    assert context is not None
    assert tracing.trace_id_of(tracing.span_context(context)) == TRACE


def test_names_are_ours_and_say_different_things() -> None:
    for names in (tracing.SpanName, tracing.EventName, tracing.Attribute):
        assert all(name.startswith("upriver.") for name in names)
        assert len({name.value for name in names}) == len(names.__members__)
