"""Everything that names a trace: spans, events, attributes; and W3C trace context in and out of gRPC metadata.

One question makes one trace over all agents that it went through. Per agent there is one `upriver.serve` (kind SERVER)
with children `upriver.infer`, `upriver.decide` and, for each upstream that was asked, `upriver.escalate` (kind CLIENT),
whose child is the next agent's `upriver.serve`.
"""

from collections.abc import Sequence
from enum import StrEnum

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

INSTRUMENTATION = "upriver"
MAX_ROW_EVENTS = 16
"""Rows of a batch that get a decision event of their own; the rest are counted."""
MAX_LINKS = 128
"""Questions that one span links to; the rest are counted."""
SENT_NS = "upriver-sent-ns"
"""Metadata of an export: the sender's clock, nanoseconds since the epoch, by which its spans' times are put right."""


class SpanName(StrEnum):
    """Names of spans."""

    SERVE = "upriver.serve"
    INFER = "upriver.infer"
    DECIDE = "upriver.decide"
    ESCALATE = "upriver.escalate"
    AUDIT = "upriver.audit"
    # Traces of their own, which link to the questions that they come of.
    TICKET = "upriver.ticket"  # a ticket is answered
    PROMOTE = "upriver.promote"  # what was learnt from lessons begins to answer
    TRAIN = "upriver.train"  # a version was made of lessons
    TRAIN_LESSONS = "upriver.train.lessons"  # below it, with links to further lessons
    ROLLOUT = "upriver.rollout"  # a rollout has ended
    AGAIN = "upriver.again"  # an operator has a question asked again


class EventName(StrEnum):
    """Names of events."""

    ROW = "upriver.row"
    NOTE = "upriver.note"
    ALARM = "upriver.alarm"
    RETRY = "upriver.retry"
    HEDGE = "upriver.hedge"
    BUDGET_EMPTY = "upriver.budget_empty"
    HELD_BACK = "upriver.held_back"
    BREAKER_OPENED = "upriver.breaker_opened"
    BREAKER_TRIAL = "upriver.breaker_trial"
    BREAKER_CLOSED = "upriver.breaker_closed"
    EJECTED = "upriver.ejected"


class Attribute(StrEnum):
    """Names of attributes. Values are text unless the comment says otherwise."""

    AGENT = "upriver.agent"
    TIER = "upriver.tier"
    REGION = "upriver.region"
    MODEL = "upriver.model"
    QUESTION = "upriver.question"
    ROWS = "upriver.rows"  # int
    ROW = "upriver.row"  # int: index in the request
    SCORE = "upriver.score"  # float: confidence, -inf is never confident
    THRESHOLD = "upriver.threshold"  # float: of this agent
    REASON = "upriver.reason"
    RESOLVED = "upriver.resolved"  # bool: all rows
    DEGRADED = "upriver.degraded"  # bool: any row
    ESCALATED = "upriver.escalated"  # bool
    TICKETS = "upriver.tickets"  # int: rows that got a ticket, of a request with unresolved ones
    ANSWERED_BY = "upriver.answered_by"  # agent of the least certain row
    PATH = "upriver.path"  # list of agents, touch point first
    ANSWERED_TIER = "upriver.answered_tier"  # that agent's tier
    POLICY = "upriver.policy"
    VERSION = "upriver.version"  # digest of the version that ran here
    HOP = "upriver.hop"  # int: 0 at the touch point
    KEPT_SHARE = "upriver.kept_share"  # float: the probability with which such a question is kept; absent is 1
    LESSONS = "upriver.lessons"  # int: lessons that something came of, with or without a link
    TRAINING = "upriver.training"  # the training's name
    ROLLOUT = "upriver.rollout"  # the rollout's name
    STATE = "upriver.state"  # how it ended
    FUSED = "upriver.fused"  # list of digests: versions below whose answers went into this one
    UPSTREAM_AGENT = "upriver.upstream.agent"
    UPSTREAM_TIER = "upriver.upstream.tier"
    BYTES = "upriver.bytes"  # int: request message with its envelope
    ERROR_REASON = "upriver.error.reason"
    MESSAGE = "upriver.message"


_PROPAGATOR = TraceContextTextMapPropagator()
TRACEPARENT = "traceparent"
"""The key without which metadata carries no trace."""
_TRACESTATE = "tracestate"


def extract(metadata: Sequence[tuple[str, str | bytes]]) -> Context | None:
    """Gives the caller's trace context, or None when it sent none.

    Malformed or several traceparents count as none and several tracestates as one list, as W3C Trace Context has it.
    """
    for key, _ in metadata:
        if key == TRACEPARENT:
            break
    else:
        return None
    carrier: dict[str, list[str]] = {TRACEPARENT: [], _TRACESTATE: []}
    for key, value in metadata:
        if key in carrier and isinstance(value, str):
            carrier[key].append(value)
    if len(carrier[TRACEPARENT]) != 1:
        return None
    context = _PROPAGATOR.extract(carrier, Context())
    return context if span_context(context).is_valid else None


def inject(context: Context | None = None) -> tuple[tuple[str, str], ...]:
    """Gives the metadata that carries a context (none: the current one); empty when no trace is under way."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context)
    return tuple(carrier.items())


def span_context(context: Context) -> SpanContext:
    """Gives the identity of a context's span."""
    return trace.get_current_span(context).get_span_context()


def trace_id_of(context: SpanContext) -> str:
    """Gives a trace's id as 32 hexadecimal digits, "" for none."""
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def span_id_of(span: Span) -> str:
    """Gives a span's id as 16 hexadecimal digits, "" for one that nobody will see."""
    return trace.format_span_id(span.get_span_context().span_id) if span.is_recording() else ""


def link_to(trace_id: str, span_id: str, attributes: Attributes = None) -> Link | None:
    """Gives a link to a span by its ids in hexadecimal digits; None when they are not those of a span."""
    try:
        context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    except ValueError:
        return None
    known = context.is_valid and (len(trace_id), len(span_id)) == (32, 16)
    return Link(context, attributes) if known else None
