"""Which questions leave spans, and what the spans say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode, Tracer

from upriver import tracing
from upriver.errors import InvalidInput
from upriver.parameters import Reason
from upriver.tracing import MAX_ROW_EVENTS, Attribute, EventName, SpanName
from upriver_agent.merge import RowFacts
from upriver_agent.telemetry import NOWHERE, Marks, Origin, ParentContext, Stop, Telemetry

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


class Spans:
    """A tracer of the real SDK, and the spans that ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self, name: SpanName) -> ReadableSpan:
        (found,) = [span for span in self.all() if span.name == name]
        return found


def telemetry(tracer: Tracer | None, rate: float = 0.0, coin: float = 0.5) -> Telemetry:
    return Telemetry("device-1", "device", "home", rate, tracer, lambda: coin)


def caller(flags: str) -> ParentContext:
    context = tracing.extract([("traceparent", f"00-{TRACE}-{SPAN}-{flags}"), ("tracestate", "vendor=value")])
    assert context is not None
    return context


def marks() -> Marks:
    times = Marks(1_000)
    times.infer_start_ns, times.infer_end_ns, times.decided_ns = 2_000, 3_000, 4_000
    return times


def row(confidence: float = 0.97, resolved: bool = True, degraded: bool = False, agent: str = "device-1") -> RowFacts:
    path = ("device-1",) if agent == "device-1" else ("device-1", agent)
    return RowFacts(agent, "device", confidence, resolved, Reason.CONFIDENT, degraded, path, "sha256:aa")


def test_a_caller_decides_about_its_own_trace() -> None:
    assert telemetry(None).caller_wants(caller("01"))
    assert not telemetry(None).caller_wants(caller("00"))


def test_the_spans_of_a_local_answer_have_the_times_that_were_noted() -> None:
    spans = Spans()
    trace_id = telemetry(spans.tracer).local(caller("01"), marks(), "digits", [row()], 0.9)
    serve, infer, decide = (spans.one(name) for name in (SpanName.SERVE, SpanName.INFER, SpanName.DECIDE))
    assert trace_id == TRACE
    assert len(spans.all()) == 3
    assert (serve.start_time, infer.start_time, infer.end_time) == (1_000, 2_000, 3_000)
    assert (decide.start_time, decide.end_time) == (3_000, 4_000)
    assert serve.kind is SpanKind.SERVER
    assert serve.parent is not None
    assert tracing.trace_id_of(serve.parent) == TRACE
    assert serve.parent.span_id == int(SPAN, 16)
    assert serve.context is not None
    assert [child.parent.span_id for child in (infer, decide) if child.parent] == [serve.context.span_id] * 2


def test_the_spans_say_what_was_decided() -> None:
    spans = Spans()
    telemetry(spans.tracer).local(None, marks(), "digits", [row(0.97), row(0.93)], 0.9)
    told = spans.one(SpanName.SERVE).attributes or {}
    assert told[Attribute.AGENT] == "device-1"
    assert told[Attribute.TIER] == "device"
    assert told[Attribute.REGION] == "home"
    assert told[Attribute.MODEL] == "digits"
    assert told[Attribute.ROWS] == 2
    assert told[Attribute.RESOLVED] is True
    assert told[Attribute.DEGRADED] is False
    assert told[Attribute.SCORE] == 0.93  # the least certain row speaks for the request
    assert told[Attribute.PATH] == ("device-1",)
    events = [event.attributes or {} for event in spans.one(SpanName.DECIDE).events]
    assert [(event[Attribute.ROW], event[Attribute.SCORE], event[Attribute.THRESHOLD]) for event in events] == [
        (0, 0.97, 0.9),
        (1, 0.93, 0.9),
    ]


def test_a_span_says_which_version_ran_at_which_hop_against_what_and_which_tier_answered() -> None:
    spans = Spans()
    stop = Stop("sha256:bb", 2)
    telemetry(spans.tracer).begin(None, marks(), "digits", "q-1", [row(0.4)], math.inf, stop).finish([row(0.4)])
    told = spans.one(SpanName.SERVE).attributes or {}
    assert told[Attribute.VERSION] == "sha256:bb"
    assert told[Attribute.HOP] == 2
    assert told[Attribute.ANSWERED_TIER] == "device"
    assert told[Attribute.THRESHOLD] == 1.7976931348623157e308
    assert Attribute.KEPT_SHARE not in told, "it was kept for what it is"


@pytest.mark.parametrize(
    ("parent", "rate", "share"), [(None, 0.25, 0.25), (None, 1.0, None), (caller("01"), 0.25, None)]
)
def test_what_chance_has_kept_says_for_how_many_it_stands(
    parent: ParentContext | None, rate: float, share: float | None
) -> None:
    spans = Spans()
    telemetry(spans.tracer, rate).local(parent, marks(), "digits", [row()], 0.9)
    assert (spans.one(SpanName.SERVE).attributes or {}).get(Attribute.KEPT_SHARE) == share


def test_ordinary_spans_and_those_that_are_always_kept_go_different_ways() -> None:
    important, ordinary = Spans(), Spans()
    made = telemetry(None)
    made.use(important.tracer, ordinary.tracer)
    made.local(None, marks(), "digits", [row()], 0.9)
    assert (len(important.all()), len(ordinary.all())) == (0, 3)
    made.begin(None, marks(), "digits", "q-1", [row(0.4)], 0.9).finish([row(0.4)])
    made.failed(None, marks(), "digits", InvalidInput("wrong"))
    made.disagreement("digits", "q-1", "sha256:aa", "cloud-1", False)
    made.ticket("digits", "q-1", Origin(TRACE, SPAN), "person")
    assert (len(important.all()), len(ordinary.all())) == (6, 3)


def test_an_answer_to_what_was_escalated_to_here_is_always_kept_as_the_other_half_is() -> None:
    important, ordinary = Spans(), Spans()
    made = telemetry(None)
    made.use(important.tracer, ordinary.tracer)
    made.local(caller("01"), marks(), "digits", [row()], 0.9, stop=Stop("sha256:aa", 1))
    assert (len(important.all()), len(ordinary.all())) == (3, 0)


def links(span: ReadableSpan) -> list[tuple[str, str]]:
    return [(tracing.trace_id_of(link.context), f"{link.context.span_id:016x}") for link in span.links]


def test_an_answered_ticket_is_a_trace_of_its_own_that_links_to_its_question() -> None:
    spans = Spans()
    telemetry(spans.tracer).ticket("digits", "q-1", Origin(TRACE, SPAN), "person eve")
    span = spans.one(SpanName.TICKET)
    assert span.parent is None
    assert links(span) == [(TRACE, SPAN)]
    told = span.attributes or {}
    assert (told[Attribute.QUESTION], told[Attribute.ANSWERED_BY]) == ("q-1", "person eve")


def test_a_question_that_is_asked_again_links_to_the_first_time() -> None:
    spans = Spans()
    stop = Stop("sha256:bb", 0, Origin(TRACE, SPAN))
    telemetry(spans.tracer).begin(None, marks(), "digits", "q-1", [row()], 0.9, stop).finish([row()])
    assert links(spans.one(SpanName.SERVE)) == [(TRACE, SPAN)]


@pytest.mark.parametrize("origin", [NOWHERE, Origin(TRACE, ""), Origin("x" * 32, SPAN), Origin("0" * 32, SPAN)])
def test_what_is_no_span_is_not_linked_to(origin: Origin) -> None:
    spans = Spans()
    telemetry(spans.tracer).ticket("digits", "q-1", origin, "person")
    assert spans.one(SpanName.TICKET).links == ()


def test_a_promotion_links_to_the_newest_questions_and_counts_all_lessons() -> None:
    spans = Spans()
    origins = [Origin(TRACE, f"{number:016x}") for number in range(1, 201)]
    telemetry(spans.tracer).promoted("digits", "sha256:bb", 4_000, [*origins[:2], *origins])
    span = spans.one(SpanName.PROMOTE)
    assert links(span) == [tuple(origin) for origin in origins[: tracing.MAX_LINKS]]
    assert (span.attributes or {})[Attribute.LESSONS] == 4_000


def test_a_question_that_nobody_will_see_has_no_span_to_link_to() -> None:
    question = telemetry(None).begin(caller("01"), marks(), "digits", "q-1", [row()], 0.9)
    assert (question.trace_id, question.span_id) == (TRACE, "")


@given(rows=st.integers(1, 200), score=st.sampled_from([0.5, -math.inf, math.inf]))
def test_decision_events_are_bounded_and_finite(rows: int, score: float) -> None:
    spans = Spans()
    telemetry(spans.tracer).local(None, marks(), "digits", [row(score)] * rows, -math.inf)
    decide = spans.one(SpanName.DECIDE)
    assert len(decide.events) == min(rows, MAX_ROW_EVENTS)
    values = [event.attributes[name] for event in decide.events if event.attributes for name in event.attributes]
    assert all(math.isfinite(value) for value in values if isinstance(value, float))


def begin(spans: Spans, parent: ParentContext | None) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A question that is escalated to far-1 and answered; its trace's id and the metadata that went up."""
    question = telemetry(spans.tracer).begin(parent, marks(), "digits", "q-1", [row(0.4, resolved=False)], 0.9)
    up = question.escalate("far-1", "far-edge", 1)
    sent = up.metadata()
    up.sends(512)
    up.done([row(0.99, agent="far-1")])
    question.finish([row(0.99, agent="far-1")])
    return question.trace_id, sent


@pytest.mark.parametrize("flags", ["00", "01"])
def test_an_escalated_question_is_kept_and_goes_up_sampled(flags: str) -> None:
    spans = Spans()
    trace_id, sent = begin(spans, caller(flags))
    hop, serve = spans.one(SpanName.ESCALATE), spans.one(SpanName.SERVE)
    assert trace_id == TRACE
    assert hop.kind is SpanKind.CLIENT
    assert hop.context is not None
    assert serve.context is not None
    assert hop.parent is not None
    assert hop.parent.span_id == serve.context.span_id
    assert dict(sent) == {"traceparent": f"00-{TRACE}-{hop.context.span_id:016x}-01", "tracestate": "vendor=value"}
    upstream = tracing.extract(sent)
    assert upstream is not None
    assert telemetry(spans.tracer).caller_wants(upstream)
    told = {**(serve.attributes or {}), **(hop.attributes or {})}
    assert told[Attribute.ESCALATED] is True
    assert told[Attribute.QUESTION] == "q-1"
    assert told[Attribute.UPSTREAM_AGENT] == "far-1"
    assert told[Attribute.BYTES] == 512
    assert told[Attribute.PATH] == ("device-1", "far-1")


def test_without_a_caller_a_question_begins_a_trace() -> None:
    spans = Spans()
    trace_id, _ = begin(spans, None)
    serve = spans.one(SpanName.SERVE)
    assert serve.parent is None
    assert {tracing.trace_id_of(span.context) for span in spans.all() if span.context} == {trace_id}


def test_an_upstream_that_fails_shows_with_its_reason() -> None:
    spans = Spans()
    question = telemetry(spans.tracer).begin(None, marks(), "digits", "q-1", [row(0.4, resolved=False)], 0.9)
    question.escalate("far-1", "far-edge", 1).failed(Reason.UPSTREAM_FULL, "RESOURCE_EXHAUSTED: " + "x" * 5_000)
    question.note("asked in vain")
    question.finish([row(0.4, resolved=False, degraded=True)])
    hop, serve = spans.one(SpanName.ESCALATE), spans.one(SpanName.SERVE)
    assert hop.status.status_code is StatusCode.ERROR
    assert len(hop.status.description or "") == 1_000
    assert (hop.attributes or {})[Attribute.REASON] == "upstream_full"
    assert serve.status.status_code is StatusCode.UNSET  # the request itself was answered
    assert (serve.attributes or {})[Attribute.DEGRADED] is True
    assert (serve.events[0].attributes or {})[Attribute.MESSAGE] == "asked in vain"


@pytest.mark.parametrize("under_way", [False, True])
def test_a_failed_request_shows_with_its_error(under_way: bool) -> None:
    spans = Spans()
    error = InvalidInput("tensor 'x': expected FP32, got " + "y" * 5_000)
    if under_way:
        telemetry(spans.tracer).begin(caller("00"), marks(), "digits", "", [row()], 0.9).fail(error)
    else:
        telemetry(spans.tracer).failed(caller("00"), marks(), "digits", error)
    serve = spans.one(SpanName.SERVE)
    assert serve.context is not None
    assert tracing.trace_id_of(serve.context) == TRACE
    assert (serve.attributes or {})[Attribute.ERROR_REASON] == "INVALID_INPUT"
    assert serve.status.status_code is StatusCode.ERROR
    assert (serve.status.description or "").startswith("tensor 'x'")
    assert len(serve.status.description or "") == 1_000


@pytest.mark.parametrize("tracer", [None, NoOpTracer()])
@pytest.mark.parametrize("flags", ["00", "01"])
def test_without_export_a_callers_context_goes_up_as_it_came(tracer: Tracer | None, flags: str) -> None:
    question = telemetry(tracer).begin(caller(flags), marks(), "digits", "q-1", [row()], 0.9)
    up = question.escalate("far-1", "far-edge", 1)
    assert question.trace_id == TRACE
    assert dict(up.metadata()) == {"traceparent": f"00-{TRACE}-{SPAN}-{flags}", "tracestate": "vendor=value"}


def test_without_export_and_caller_nothing_goes_up() -> None:
    question = telemetry(None).begin(None, marks(), "digits", "q-1", [row()], 0.9)
    assert question.trace_id == ""
    assert question.escalate("far-1", "far-edge", 1).metadata() == ()


def test_spans_go_to_the_tracer_that_came_later() -> None:
    spans = Spans()
    late = telemetry(None)
    late.local(None, marks(), "digits", [row()], 0.9)
    late.use(spans.tracer, spans.tracer)
    late.local(None, marks(), "digits", [row()], 0.9)
    assert len(spans.all()) == 3


@pytest.mark.parametrize("rang", [False, True])
def test_an_audit_that_differs_is_a_trace_of_its_own_and_tells_of_the_alarm(rang: bool) -> None:
    spans = Spans()
    telemetry(spans.tracer).disagreement("digits", "q-1", "sha256:aa", "cloud-1", rang)
    span = spans.one(SpanName.AUDIT)
    assert span.parent is None
    assert span.attributes is not None
    assert span.attributes[Attribute.QUESTION] == "q-1"
    assert span.attributes[Attribute.UPSTREAM_AGENT] == "cloud-1"
    assert [event.name for event in span.events] == [EventName.ALARM] * rang
