"""QuestionService's messages from and to questions and traces."""

import base64
import binascii
import struct
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final, Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.tracing import Attribute
from upriver.v1 import question_pb2 as pb
from upriver_control.spans import hops as hop_facts
from upriver_control.spans.facts import MAX_SHOWN, Attributes, EventFacts, SpanFacts, clean, shown
from upriver_control.spans.filters import Filter
from upriver_control.spans.flags import from_numbers, to_numbers
from upriver_control.spans.histogram import Summary
from upriver_control.spans.looking import Place
from upriver_control.spans.own import SERVICE
from upriver_control.spans.rows import HopRow
from upriver_control.spans.trace import Trace
from upriver_control.spans.tree import ROOT

_AGENTS: Final = "upriver-agent"
"""The `service.name` of agents."""
_BILLION: Final = 10**9
_MOST_32: Final = 2**31 - 1
_MOST_64: Final = 2**63 - 1
_TOKEN: Final = struct.Struct(">qq8s")
_TEXTS: Final = ("search", "model", "version", "agent", "tier", "region", "reason", "answered_tier")


class _Sized(Protocol):
    def ByteSize(self) -> int: ...  # noqa: N802 - protobuf's name


S = TypeVar("S", bound=_Sized)


def read_filter(message: pb.QuestionFilter) -> Filter:
    """Which questions are asked for; raises InvalidInput that names what is wrong."""
    from_ns, until_ns = (
        read_time(message, name) if message.HasField(name) else 0 for name in ("from_time", "until_time")
    )
    if message.HasField("until_time") and not until_ns:
        raise InvalidInput("until_time is 1970; expected a later time")
    texts: dict[str, str] = {name: getattr(message, name) for name in _TEXTS}
    return Filter(
        **texts,
        flags=from_numbers(message.flags),
        from_ns=from_ns,
        until_ns=until_ns,
        min_latency_ns=_nanoseconds("min_latency", message.min_latency.seconds, message.min_latency.nanos),
        every_hop=message.every_hop,
    )


def read_time(message: pb.QuestionFilter, name: str) -> int:
    """A time of a message in nanoseconds since the epoch; raises InvalidInput for one before it."""
    told: Timestamp = getattr(message, name)
    return _nanoseconds(name, told.seconds, told.nanos)


def write_place(place: Place | None, wanted: pb.QuestionFilter) -> str:
    """Where a list goes on, for whoever asks with the same filter; empty at its end."""
    if place is None:
        return ""
    packed = _TOKEN.pack(place.at_ns, place.id, _mark(wanted))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_place(token: str, wanted: pb.QuestionFilter) -> Place | None:
    """The same back, None for an empty one; raises InvalidInput for one that was not given with this filter."""
    if not token:
        return None
    try:
        at_ns, number, mark = _TOKEN.unpack(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, struct.error) as error:
        raise InvalidInput(f"page_token is {token[:40]!r}; expected the one of the last answer") from error
    if mark != _mark(wanted):
        raise InvalidInput("page_token is of another filter; expected the filter to stay the same from page to page")
    return Place(at_ns, number)


def write_question(row: HopRow, thresholds: Mapping[tuple[bytes, str], float]) -> pb.Question:
    """A question as it is listed; `thresholds` are those of who answered, by trace and agent."""
    threshold = row.threshold if row.threshold is not None else thresholds.get((row.trace, row.answered_by))
    return pb.Question(
        trace=row.trace.hex(),
        question=row.question,
        time=timestamp(row.at_ns),
        latency=duration(row.duration_ns),
        agent=row.agent,
        tier=row.tier,
        region=row.region,
        model=row.model,
        version=row.version,
        answered_by=row.answered_by,
        answered_tier=row.answered_tier,
        reason=row.reason,
        score=row.score,
        threshold=threshold,
        rows=row.rows,
        flags=to_numbers(row.flags),  # type: ignore[arg-type]  # its enum's values are plain numbers
        weight=row.weight,
        service=row.service,
        hop=row.hop,
    )


def write_summary(summary: Summary, from_ns: int, until_ns: int, truncated: bool) -> pb.SummarizeQuestionsResponse:
    """Figures over questions, the first and last of which were asked then; 0 for none."""
    return pb.SummarizeQuestionsResponse(
        bins=[
            pb.LatencyBin(low=duration(one.low_ns), high=duration(one.high_ns), by_tier=one.by_tier)
            for one in summary.bins
        ],
        reasons=[pb.CountByName(name=name, count=count) for name, count in summary.reasons],
        answered_tiers=[pb.CountByName(name=name, count=count) for name, count in summary.answered_tiers],
        p50=None if summary.p50_ns is None else duration(summary.p50_ns),
        p95=None if summary.p95_ns is None else duration(summary.p95_ns),
        kept=summary.kept,
        estimated=summary.estimated,
        truncated=truncated,
        from_time=timestamp(from_ns) if summary.kept else None,
        until_time=timestamp(until_ns) if summary.kept else None,
    )


def write_span(trace: Trace, index: int) -> pb.TraceSpan:
    """A span of a trace, by its index in the tree."""
    node, start_ns = trace.tree.nodes[index], trace.start_ns(index)
    span = node.span
    return pb.TraceSpan(
        span=span.span.hex(),
        parent=span.parent.hex() if node.parent == ROOT else trace.tree.nodes[node.parent].span.span.hex(),
        name=clean(span.name, MAX_SHOWN),
        service=span.service,
        agent=node.agent if span.service == _AGENTS or Attribute.AGENT in span.attributes else "",
        start=duration(start_ns),
        length=duration(span.length_ns),
        depth=node.depth,
        error=_error(span),
        attributes=_told(span.attributes),
        events=[_event(event, event.at_ns - span.start_ns + start_ns) for event in span.events],
        kind=span.kind,
    )


def write_hop(trace: Trace, hop: hop_facts.Hop) -> pb.Hop:
    """What one agent did with a question."""
    spans = trace.tree.nodes
    return pb.Hop(
        span=spans[hop.node].span.span.hex(),
        agent=hop.agent,
        tier=hop.tier,
        region=hop.region,
        version=hop.version,
        policy=hop.policy,
        score=hop.score,
        threshold=hop.threshold,
        reason=hop.reason,
        resolved=hop.resolved,
        start=duration(hop.start_ns - trace.began_ns),
        length=duration(hop.length_ns),
        infer=duration(hop.infer_ns),
        tries=[_try(one, trace) for one in hop.tries],
        rows=[
            pb.RowDecision(
                row=small(row.row),
                score=row.score,
                threshold=row.threshold,
                reason=row.reason,
                went_up=row.went_up,
            )
            for row in hop.rows
        ],
        bytes_up=min(hop.sent_bytes, _MOST_64),
        degraded=hop.degraded,
        answered_by=hop.answered_by,
        error=hop.error,
        number=hop.number,
        model=hop.model,
        row_count=small(hop.row_count),
        ticketed=small(hop.ticketed),
        notes=hop.notes,
    )


def write_later(span: SpanFacts) -> pb.Later:
    """A span of another trace that speaks of this one."""
    return pb.Later(
        name=clean(span.name, MAX_SHOWN),
        trace=span.trace.hex(),
        span=span.span.hex(),
        time=timestamp(max(0, span.start_ns + span.offset_ns)),
        agent="" if span.service == SERVICE else span.agent,
        attributes=_told(span.attributes),
    )


def within(messages: Iterable[S], most_bytes: int) -> tuple[list[S], int]:
    """The first messages that fit into so many bytes, and how many did not."""
    fitting: list[S] = []
    left, left_out = most_bytes, 0
    for message in messages:
        left -= message.ByteSize() + 8  # its field's number and length
        if left < 0:
            left_out += 1
        else:
            fitting.append(message)
    return fitting, left_out


def timestamp(nanoseconds: int) -> Timestamp:
    """A time, from nanoseconds since the epoch."""
    return Timestamp(seconds=nanoseconds // _BILLION, nanos=nanoseconds % _BILLION)


def duration(nanoseconds: int) -> Duration:
    """A span of time; of a negative one both parts are."""
    sign = -1 if nanoseconds < 0 else 1
    seconds, nanos = divmod(abs(nanoseconds), _BILLION)
    return Duration(seconds=sign * seconds, nanos=sign * nanos)


def small(number: int) -> int:
    """A number from 0 on as 32 bits hold it: anybody may have written it."""
    return min(number, _MOST_32)


def _try(one: hop_facts.Try, trace: Trace) -> pb.Try:
    return pb.Try(
        agent=one.agent,
        tier=one.tier,
        cause=one.cause,
        outcome=one.outcome,
        message=one.message,
        bytes=min(one.sent_bytes, _MOST_64),
        start=duration(one.start_ns - trace.began_ns),
        length=duration(one.length_ns),
        span=trace.tree.nodes[one.node].span.span.hex() if one.node >= 0 else "",
        reason=one.reason,
        rows=small(one.rows),
    )


def _event(event: EventFacts, since_ns: int) -> pb.TraceEvent:
    return pb.TraceEvent(
        name=clean(event.name, MAX_SHOWN), time_offset=duration(since_ns), attributes=_told(event.attributes)
    )


def _told(attributes: Attributes) -> dict[str, str]:
    return {clean(name): shown(value) for name, value in attributes.items()}


def _error(span: SpanFacts) -> str:
    if not span.failed:
        return ""
    return clean(span.error, MAX_SHOWN) or "it failed; why is not told"


def _nanoseconds(name: str, seconds: int, nanos: int) -> int:
    whole = seconds * _BILLION + nanos
    if not (0 <= whole <= _MOST_64 and 0 <= nanos < _BILLION):
        raise InvalidInput(f"{name} is {seconds} s and {nanos} ns; expected 0 to {_MOST_64 // _BILLION} s")
    return whole


def _mark(wanted: pb.QuestionFilter) -> bytes:
    return blake2b(wanted.SerializeToString(deterministic=True), digest_size=8).digest()
