"""What the agent's own telemetry writes is what is read here."""

import time
from collections.abc import Mapping

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from upriver.errors import InvalidInput
from upriver.parameters import Reason
from upriver.tracing import EventName
from upriver_agent.merge import RowFacts
from upriver_agent.telemetry import Marks, Telemetry
from upriver_control.spans.facts import EventFacts, SpanFacts, Value
from upriver_control.spans.rows import Group, rows_of
from upriver_control.spans.trace import put_together
from upriver_control.spans.why import why

KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3}


class Exported:
    """A tracer of the real SDK, and the spans that ended as plain values."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def facts(self) -> list[SpanFacts]:
        return [plain(span) for span in self._exporter.get_finished_spans()]


def values(attributes: Mapping[str, object] | None) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in (attributes or {}).items():
        assert isinstance(value, str | bool | int | float | tuple)
        found[str(name)] = value
    return found


def plain(span: ReadableSpan) -> SpanFacts:
    assert span.start_time is not None
    assert span.end_time is not None
    return SpanFacts(
        trace=span.context.trace_id.to_bytes(16, "big"),
        span=span.context.span_id.to_bytes(8, "big"),
        parent=b"" if span.parent is None else span.parent.span_id.to_bytes(8, "big"),
        name=span.name,
        kind=KINDS[span.kind.name],
        start_ns=span.start_time,
        end_ns=span.end_time,
        attributes=values(span.attributes),
        events=tuple(EventFacts(event.name, event.timestamp, values(event.attributes)) for event in span.events),
        failed=span.status.status_code is StatusCode.ERROR,
        error=span.status.description or "",
        service="upriver-agent",
        agent="",  # the resource tells it, which all tracers here share
    )


def marks() -> Marks:
    times = Marks(time.time_ns())  # as the calls' spans, which are made by the wall clock
    times.infer_start_ns, times.infer_end_ns, times.decided_ns = times.start_ns, times.start_ns + 1, times.start_ns + 2
    return times


def row(agent: str, confidence: float, reason: Reason, path: tuple[str, ...]) -> RowFacts:
    return RowFacts(agent, agent[:-2], confidence, True, reason, False, path, "sha256:aa")


def test_a_question_over_two_agents_is_understood() -> None:
    exported = Exported()
    device = Telemetry("device-1", "device", "home", 1.0, exported.tracer)
    far = Telemetry("far-1", "far", "home", 1.0, exported.tracer)
    own = row("device-1", 0.41, Reason.UPSTREAM_DOWN, ("device-1",))
    question = device.begin(None, marks(), "digits", "q-1", [own], 0.7)
    question.event(EventName.HELD_BACK, "far-2", Reason.BREAKER_OPEN)
    call = question.escalate("far-1", "far", 1)
    call.sends(1234)
    above = row("far-1", 0.97, Reason.CONFIDENT, ("far-1",))
    far.local(far.extract(call.metadata()), marks(), "digits", [above], 0.9)
    answer = [above._replace(path=("device-1", "far-1"))]
    call.done(answer)
    question.finish(answer)
    spans = exported.facts()

    trace = put_together(spans)
    assert trace.missing == ()
    assert [(hop.agent, hop.score, hop.threshold) for hop in trace.hops] == [
        ("device-1", 0.41, 0.7),
        ("far-1", 0.97, 0.9),
    ]
    assert trace.hops[0].sent_bytes == 1234
    text = why(trace)
    assert text.startswith("far-1 (far) answered, because it was sure enough: 0.97, where it takes 0.90.")
    assert "device-1 (device) was not sure enough (0.41, where it takes 0.70), so it asked far-1 (far)." in text
    assert "far-2 was passed over: it was being left alone, as it kept failing." in text

    parsed = rows_of([Group(1, spans)], time.time_ns())
    assert (len(parsed.spans), parsed.rejected) == (7, 0)
    rows = {hop.agent: hop for hop in parsed.hops}
    assert (rows["far-1"].threshold, rows["far-1"].answered_tier) == (0.9, "far")
    assert (rows["device-1"].threshold, rows["device-1"].flags, rows["device-1"].question) == (None, 1, "q-1")


def test_a_question_that_failed_is_understood() -> None:
    exported = Exported()
    Telemetry("device-1", "device", "home", 0.0, exported.tracer).failed(
        None, marks(), "digits", InvalidInput("no input 'x'; expected image")
    )
    assert why(put_together(exported.facts())).startswith(
        "device-1 (device) could not answer: no input 'x'; expected image (INVALID_INPUT)."
    )
