"""Spans of questions, made late: a local confident answer that nobody samples costs two comparisons and no span.

The serving core notes the times; when the answer is known, the spans are made after the fact with those times. Only a
question that escalates gets its spans at once, because the escalate span's identity must travel with the call.

Kept are: questions whose caller sampled them, the configured share of the others, and always those that were escalated,
degraded, unresolved or failed. As spans exist only when they are to be kept, the SDK behind this samples everything.
Times are the wall clock's (nanoseconds since the epoch), as span exporters want them.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from upriver import tracing
from upriver.errors import UpriverError
from upriver.parameters import Reason
from upriver.tracing import Attribute, EventName, SpanName
from upriver_agent.merge import RowFacts, least_certain

ParentContext = Context

_MAX_MESSAGE = 1000
"""Characters of a status: an error may quote what a caller sent, and a status is not bounded by the SDK's limits."""


class Marks:
    """When a request came in, entered the model, left it and was decided: nanoseconds since the epoch."""

    __slots__ = ("decided_ns", "infer_end_ns", "infer_start_ns", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.infer_start_ns = 0
        self.infer_end_ns = 0
        self.decided_ns = 0


class Origin(NamedTuple):
    """Where a question was seen before: its trace and its span here, in hexadecimal digits; empty for none."""

    trace_id: str = ""
    span_id: str = ""


NOWHERE = Origin()


class Stop(NamedTuple):
    """What a question finds here: the digest of the version that answers, which hop this agent is on its way (0 is the
    touch point), and the question of which this one is asked again."""

    version: str = ""
    hop: int = 0
    origin: Origin = NOWHERE


_NOTHING_SAID = Stop()


class EscalateSpan:
    """One call to one upstream."""

    def __init__(self, span: Span, context: Context) -> None:
        self._span = span
        self._context = context

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The W3C context that goes with the call; empty when nothing is traced."""
        return tracing.inject(trace.set_span_in_context(self._span, self._context))

    def sends(self, sent_bytes: int) -> None:
        """So many bytes go up: the message and all that travels with it, the span's own context too."""
        self._span.set_attribute(Attribute.BYTES, sent_bytes)

    def done(self, rows: Sequence[RowFacts]) -> None:
        """The upstream answered."""
        least = least_certain(rows)
        self._span.set_attribute(Attribute.ANSWERED_BY, least.agent)
        self._span.set_attribute(Attribute.RESOLVED, least.resolved)
        self._span.end()

    def failed(self, reason: Reason, message: str) -> None:
        """The call failed."""
        self._span.set_attribute(Attribute.REASON, reason)
        self._span.set_status(Status(StatusCode.ERROR, message[:_MAX_MESSAGE]))
        self._span.end()


class QuestionTrace:
    """The spans of one request at this agent, begun while it is still under way."""

    def __init__(self, tracer: Tracer, span: Span, parent: Context) -> None:
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span, parent)
        self.trace_id = tracing.trace_id_of(span.get_span_context())
        self.span_id = tracing.span_id_of(span)

    def escalate(self, agent: str, tier: str, rows: int) -> EscalateSpan:
        """A call to an upstream begins."""
        attributes: dict[str, AttributeValue] = {
            Attribute.UPSTREAM_AGENT: agent,
            Attribute.UPSTREAM_TIER: tier,
            Attribute.ROWS: rows,
        }
        self._span.set_attribute(Attribute.ESCALATED, True)
        span = self._tracer.start_span(SpanName.ESCALATE, self._context, SpanKind.CLIENT, attributes)
        return EscalateSpan(span, self._context)

    def note(self, message: str) -> None:
        """Something worth telling happened."""
        self._span.add_event(EventName.NOTE, {Attribute.MESSAGE: message})

    def event(self, name: EventName, agent: str = "", reason: Reason | None = None) -> None:
        """Something was decided about an upstream; told only while the question is under way."""
        if not self._span.is_recording():
            return
        attributes: dict[str, AttributeValue] = {}
        if agent:
            attributes[Attribute.UPSTREAM_AGENT] = agent
        if reason is not None:
            attributes[Attribute.REASON] = reason
        self._span.add_event(name, attributes)

    def fused(self, versions: Sequence[str]) -> None:
        """Answers of these versions below went into this one."""
        self._span.set_attribute(Attribute.FUSED, list(versions))

    def stands_for(self, kept_share: float) -> None:
        """Of such questions this share is kept."""
        self._span.set_attribute(Attribute.KEPT_SHARE, kept_share)

    def ticketed(self, tickets: int) -> None:
        """Of the rows that are unresolved so many got a ticket."""
        self._span.set_attribute(Attribute.TICKETS, tickets)

    def finish(self, rows: Sequence[RowFacts]) -> None:
        """The answer goes out."""
        _tell_outcome(self._span, rows)
        self._span.end()

    def fail(self, error: UpriverError) -> None:
        """The request fails."""
        _tell_error(self._span, error)
        self._span.end()


class Telemetry:
    """Makes the spans of one agent. `chance` gives a number in [0, 1)."""

    extract = staticmethod(tracing.extract)
    """Gives the caller's trace context of its metadata, None when it sent none."""

    def __init__(
        self,
        agent: str,
        tier: str,
        region: str,
        sample_rate: float,
        tracer: Tracer | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._own: dict[str, AttributeValue] = {
            Attribute.AGENT: agent,
            Attribute.TIER: tier,
            Attribute.REGION: region,
        }
        self.rate = sample_rate
        """Of local confident answers whose caller does not decide, the share that is traced: those of which `chance`
        gives less. The core asks it itself, without a call."""
        self._tracer = self._ordinary = tracer if tracer is not None else trace.NoOpTracer()
        self.chance = chance
        self.on_failed: Callable[[str, UpriverError], object] | None = None
        """Told of requests that failed before anything was decided: the model's name, as the caller has it, and why."""

    def use(self, important: Tracer, ordinary: Tracer) -> None:
        """Sends spans made from now on to these tracers: `ordinary` has those of answers that were sure here."""
        self._tracer, self._ordinary = important, ordinary

    def caller_wants(self, parent: ParentContext) -> bool:
        """Whether a caller that has a trace has this answer traced, too."""
        return tracing.span_context(parent).trace_flags.sampled

    def local(
        self,
        parent: ParentContext | None,
        marks: Marks,
        model: str,
        rows: Sequence[RowFacts],
        threshold: float,
        fused: Sequence[str] = (),
        stop: Stop = _NOTHING_SAID,
    ) -> str:
        """Makes the spans of an answer that was given here, with those of `fused` below; gives the trace's id.

        Whether it is kept was left to chance unless the caller decided: the span says for how many it stands.
        """
        # What came up was escalated below, and is as important here as it is there.
        tracer = self._tracer if stop.hop else self._ordinary
        question = self._begin(tracer, parent, marks, model, "", rows, threshold, stop)
        if parent is None and self.rate < 1.0:
            question.stands_for(self.rate)
        if fused:
            question.fused(fused)
        question.finish(rows)
        return question.trace_id

    def begin(
        self,
        parent: ParentContext | None,
        marks: Marks,
        model: str,
        question: str,
        rows: Sequence[RowFacts],
        threshold: float,
        stop: Stop = _NOTHING_SAID,
    ) -> QuestionTrace:
        """Makes the spans up to the decision; the serve span stays open until `finish` or `fail`."""
        return self._begin(self._tracer, parent, marks, model, question, rows, threshold, stop)

    def _begin(
        self,
        tracer: Tracer,
        parent: ParentContext | None,
        marks: Marks,
        model: str,
        question: str,
        rows: Sequence[RowFacts],
        threshold: float,
        stop: Stop,
    ) -> QuestionTrace:
        span, context = self._serve(tracer, parent, marks, model, _links([stop.origin]))
        span.set_attribute(Attribute.ROWS, len(rows))
        span.set_attribute(Attribute.HOP, stop.hop)
        span.set_attribute(Attribute.THRESHOLD, _finite(threshold))
        if stop.version:
            span.set_attribute(Attribute.VERSION, stop.version)
        if question:
            span.set_attribute(Attribute.QUESTION, question)
        inside = trace.set_span_in_context(span, context)
        infer = tracer.start_span(SpanName.INFER, inside, start_time=marks.infer_start_ns)
        infer.end(marks.infer_end_ns)
        decide = tracer.start_span(SpanName.DECIDE, inside, start_time=marks.infer_end_ns)
        decide.set_attribute(Attribute.THRESHOLD, _finite(threshold))
        for index, row in enumerate(rows[: tracing.MAX_ROW_EVENTS]):
            decide.add_event(
                EventName.ROW,
                {
                    Attribute.ROW: index,
                    Attribute.SCORE: _finite(row.confidence),
                    Attribute.THRESHOLD: _finite(threshold),
                    Attribute.REASON: row.reason,
                },
                marks.decided_ns,
            )
        decide.end(marks.decided_ns)
        return QuestionTrace(tracer, span, context)

    def disagreement(self, model: str, question: str, policy: str, top: str, rang: bool) -> None:
        """Makes the span of an audit in which the top `top` said something else; `rang`: it made the alarm ring."""
        attributes: dict[str, AttributeValue] = {
            **self._own,
            Attribute.MODEL: model,
            Attribute.QUESTION: question,
            Attribute.POLICY: policy,
            Attribute.UPSTREAM_AGENT: top,
        }
        span = self._tracer.start_span(SpanName.AUDIT, Context(), SpanKind.INTERNAL, attributes)
        if rang:
            span.add_event(EventName.ALARM)
        span.end()

    def ticket(self, model: str, ticket: str, origin: Origin, by: str) -> None:
        """Makes the span of a ticket that `by` has answered, now; it links to the question that got it."""
        attributes: dict[str, AttributeValue] = {Attribute.QUESTION: ticket, Attribute.ANSWERED_BY: by}
        self._later(SpanName.TICKET, model, attributes, [origin])

    def promoted(self, model: str, version: str, lessons: int, origins: Sequence[Origin]) -> None:
        """Makes the span of a head on `version` that begins to answer, learnt from so many lessons of these questions.

        It links to the first of them, which should be the newest.
        """
        self._later(SpanName.PROMOTE, model, {Attribute.VERSION: version, Attribute.LESSONS: lessons}, origins)

    def _later(self, name: SpanName, model: str, more: Mapping[str, AttributeValue], origins: Sequence[Origin]) -> None:
        attributes: dict[str, AttributeValue] = {**self._own, Attribute.MODEL: model, **more}
        links = _links(origins)
        self._tracer.start_span(name, Context(), SpanKind.INTERNAL, attributes, links).end()

    def failed(self, parent: ParentContext | None, marks: Marks, model: str, error: UpriverError) -> None:
        """Makes the span of a request that failed before anything was decided."""
        if self.on_failed is not None:
            self.on_failed(model, error)
        span, _ = self._serve(self._tracer, parent, marks, model)
        _tell_error(span, error)
        span.end(time.time_ns())

    def _serve(
        self,
        tracer: Tracer,
        parent: ParentContext | None,
        marks: Marks,
        model: str,
        links: Sequence[Link] = (),
    ) -> tuple[Span, Context]:
        context = parent if parent is not None else Context()
        attributes = {**self._own, Attribute.MODEL: model}
        span = tracer.start_span(SpanName.SERVE, context, SpanKind.SERVER, attributes, links, marks.start_ns)
        return span, context


def _tell_outcome(span: Span, rows: Sequence[RowFacts]) -> None:
    least = least_certain(rows)
    span.set_attribute(Attribute.ANSWERED_BY, least.agent)
    span.set_attribute(Attribute.ANSWERED_TIER, least.tier)
    span.set_attribute(Attribute.PATH, list(least.path))
    span.set_attribute(Attribute.SCORE, _finite(least.confidence))
    span.set_attribute(Attribute.REASON, least.reason)
    span.set_attribute(Attribute.RESOLVED, all(row.resolved for row in rows))
    span.set_attribute(Attribute.DEGRADED, any(row.degraded for row in rows))
    span.set_attribute(Attribute.POLICY, least.policy)


def _tell_error(span: Span, error: UpriverError) -> None:
    span.set_attribute(Attribute.ERROR_REASON, error.reason)
    span.set_status(Status(StatusCode.ERROR, str(error)[:_MAX_MESSAGE]))


def _links(origins: Sequence[Origin]) -> list[Link]:
    """Links to the first questions that have a span, each once."""
    links = (tracing.link_to(*origin) for origin in dict.fromkeys(origins))
    return list(islice((link for link in links if link is not None), tracing.MAX_LINKS))


def _finite(value: float) -> float:
    """JSON exporters have no infinity: the largest float stands for it."""
    return value if math.isfinite(value) else math.copysign(1.7976931348623157e308, value)
