"""What is kept of spans that came in: a row for each span, for each question at each agent and for each link. Pure.

The rows' fields are the columns, in order: they go into the database as they are, but for what questions have in common
(`Kind`), which is kept once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from upriver.tracing import MAX_LINKS, Attribute, SpanName
from upriver_control.spans.facts import SpanFacts, clean, count, number, text, texts
from upriver_control.spans.flags import flags_of
from upriver_control.spans.histogram import bucket_of

MAX_SPAN_BYTES: Final = 64 << 10
"""Bytes of a span that is taken."""
MAX_AHEAD_NS: Final = 3600 * 10**9
"""How far a span may begin after it came before its time is not believed."""
MAX_REASONS: Final = 3
MAX_CALL_AGE_NS: Final = 300 * 10**9
"""How old a call may be when it comes to be counted among those of the last minute."""
CANCELLED: Final = "cancelled: "
"""What the error of a call begins with that was given up as nobody needed it any more."""
READ: Final = frozenset({SpanName.SERVE, SpanName.DECIDE, SpanName.ESCALATE})
"""Spans whose attributes and events are looked at here; of others they need not be read."""
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_LATEST_NS: Final = 2**63 - 1
"""What a database's whole numbers hold."""
_MOST: Final = 2**31 - 1


class Group(NamedTuple):
    """Spans of one origin (a resource and a scope), by its number in the store."""

    origin: int
    spans: Sequence[SpanFacts]


class SpanRow(NamedTuple):
    """A span as it came. `start_ns` is the sender's clock's, without `offset_ns`."""

    trace: bytes
    span: bytes
    origin: int
    start_ns: int
    received_ns: int
    offset_ns: int
    raw: bytes


class HopRow(NamedTuple):
    """A question at one agent: everything that questions are looked for by.

    `at_ns` is when it was asked, put right where the clock is known to be off; `bucket` see `histogram`. `hop` is 0 at
    the touch point. `score` is the answer's, None of one that failed; `threshold` is what the agent held it against,
    None where it did not answer itself. `reason` of one that failed is the error's. `weight` is for how many it stands.
    """

    trace: bytes
    span: bytes
    at_ns: int
    duration_ns: int
    bucket: int
    hop: int
    agent: str
    tier: str
    region: str
    model: str
    version: str
    reason: str
    answered_by: str
    answered_tier: str
    policy: str
    score: float | None
    threshold: float | None
    rows: int
    weight: float
    flags: int
    question: str
    service: str


class Kind(NamedTuple):
    """What many questions have in common, named as in `HopRow`; kept once."""

    hop: int
    flags: int
    agent: str
    tier: str
    region: str
    model: str
    version: str
    reason: str
    answered_by: str
    answered_tier: str
    policy: str
    service: str


def kind_of(row: HopRow) -> Kind:
    """What a question has in common with others."""
    return Kind(
        row.hop,
        row.flags,
        row.agent,
        row.tier,
        row.region,
        row.model,
        row.version,
        row.reason,
        row.answered_by,
        row.answered_tier,
        row.policy,
        row.service,
    )


class LinkRow(NamedTuple):
    """A span that speaks of another trace."""

    trace: bytes
    span: bytes
    linked_trace: bytes
    name: str


class CallRow(NamedTuple):
    """A call from an agent up to another; `bucket` see `histogram`, `failed` is 1 for one that failed, else 0."""

    trace: bytes
    span: bytes
    at_ns: int
    agent: str
    upstream: str
    bucket: int
    failed: int


class Parsed(NamedTuple):
    """What is to be kept, how many spans are refused, and the first few reasons why."""

    spans: list[SpanRow]
    hops: list[HopRow]
    links: list[LinkRow]
    calls: list[CallRow]
    rejected: int
    reasons: tuple[str, ...]


def rows_of(groups: Iterable[Group], received_ns: int, offset_ns: int = 0) -> Parsed:
    """The rows of what came at `received_ns` in one call, whose sender's clock is behind ours by `offset_ns`.

    A span that can't be kept is refused by itself; that the same came before is the database's to find.
    """
    parsed = Parsed([], [], [], [], 0, ())
    reasons: list[str] = []
    rejected = 0
    thresholds: dict[tuple[bytes, bytes], float] = {}
    for origin, spans in groups:
        for span in spans:
            if reason := _wrong(span, offset_ns):
                rejected += 1
                if len(reasons) < MAX_REASONS:
                    reasons.append(reason)
                continue
            parsed.spans.append(SpanRow(span.trace, span.span, origin, span.start_ns, received_ns, offset_ns, span.raw))
            if span.name == SpanName.SERVE:
                parsed.hops.append(_hop(span, received_ns, offset_ns, thresholds))
            elif span.name == SpanName.DECIDE:
                threshold = number(span.attributes, Attribute.THRESHOLD)
                if threshold is not None:
                    thresholds[span.trace, span.parent] = threshold
            elif span.name == SpanName.ESCALATE and abs(received_ns - span.start_ns - offset_ns) < MAX_CALL_AGE_NS:
                parsed.calls.append(_call(span, offset_ns))
            if span.links:
                parsed.links.extend(_links(span))
    return parsed._replace(rejected=rejected, reasons=tuple(reasons))


def _wrong(span: SpanFacts, offset_ns: int) -> str:
    """Why a span can't be kept; empty when it can."""
    if len(span.trace) != 16 or span.trace == _NO_TRACE:
        return f"span {span.span.hex()[:32]}: trace id {span.trace.hex()[:64]!r}; expected 16 bytes, not all zero"
    if len(span.span) != 8 or span.span == _NO_SPAN:
        return f"trace {span.trace.hex()}: span id {span.span.hex()[:64]!r}; expected 8 bytes, not all zero"
    if len(span.parent) not in (0, 8):
        return f"span {span.span.hex()}: parent {span.parent.hex()[:64]!r}; expected 8 bytes, or none"
    if not 0 < span.start_ns <= _LATEST_NS or not 0 <= span.end_ns <= _LATEST_NS:
        return f"span {span.span.hex()}: from {span.start_ns} to {span.end_ns}; expected nanoseconds since 1970"
    if not 0 < span.start_ns + offset_ns <= _LATEST_NS:
        told = f"{span.start_ns}, which is {offset_ns} by the clock that its sender told"
        return f"span {span.span.hex()}: from {told}; expected a time between 1970 and 2262"
    if len(span.raw) > MAX_SPAN_BYTES:
        return f"span {span.span.hex()}: {len(span.raw)} bytes; at most {MAX_SPAN_BYTES} are taken"
    return ""


def _hop(serve: SpanFacts, received_ns: int, offset_ns: int, thresholds: Mapping[tuple[bytes, bytes], float]) -> HopRow:
    told = serve.attributes
    at_ns = serve.start_ns + offset_ns
    ahead = at_ns > received_ns + MAX_AHEAD_NS or at_ns <= 0
    agent = text(told, Attribute.AGENT) or clean(serve.agent)
    tier = text(told, Attribute.TIER)
    answered_by = text(told, Attribute.ANSWERED_BY)
    threshold = number(told, Attribute.THRESHOLD)
    if threshold is None:
        threshold = thresholds.get((serve.trace, serve.span))
    return HopRow(
        trace=serve.trace,
        span=serve.span,
        at_ns=received_ns if ahead else at_ns,
        duration_ns=serve.length_ns,
        bucket=bucket_of(serve.length_ns),
        hop=hop_of(serve),
        agent=agent,
        tier=tier,
        region=text(told, Attribute.REGION),
        model=text(told, Attribute.MODEL),
        version=text(told, Attribute.VERSION),
        reason=text(told, Attribute.ERROR_REASON) or text(told, Attribute.REASON),
        answered_by=answered_by,
        answered_tier=text(told, Attribute.ANSWERED_TIER) or (tier if answered_by == agent else ""),
        policy=text(told, Attribute.POLICY),
        score=number(told, Attribute.SCORE),
        threshold=threshold if answered_by == agent else None,
        rows=min(count(told, Attribute.ROWS), _MOST),
        weight=_weight(serve),
        flags=flags_of(serve, skewed=ahead or offset_ns != 0),
        question=text(told, Attribute.QUESTION),
        service=clean(serve.service),
    )


def _call(call: SpanFacts, offset_ns: int) -> CallRow:
    return CallRow(
        trace=call.trace,
        span=call.span,
        at_ns=call.start_ns + offset_ns,
        agent=text(call.attributes, Attribute.AGENT) or clean(call.agent),
        upstream=text(call.attributes, Attribute.UPSTREAM_AGENT),
        bucket=bucket_of(call.length_ns),
        failed=int(call.failed and not call.error.startswith(CANCELLED)),
    )


def hop_of(serve: SpanFacts) -> int:
    """Which hop an agent is on the question's way, 0 for the touch point.

    Where it is not told, by its place on the answer's path; and one that has none, as it failed, is rather listed than
    lost.
    """
    told = serve.attributes
    hop = told.get(Attribute.HOP)
    if type(hop) is int:
        return min(max(0, hop), _MOST)
    path = texts(told, Attribute.PATH)
    agent = text(told, Attribute.AGENT) or serve.agent
    return path.index(agent) if agent in path else 0


def _weight(serve: SpanFacts) -> float:
    share = number(serve.attributes, Attribute.KEPT_SHARE)
    return 1 / share if share is not None and 1e-6 <= share < 1 else 1.0


def _links(span: SpanFacts) -> Iterable[LinkRow]:
    name = clean(span.name)
    traces = dict.fromkeys(link.trace for link in span.links[:MAX_LINKS])
    return (
        LinkRow(span.trace, span.span, trace, name)
        for trace in traces
        if len(trace) == 16 and trace not in (_NO_TRACE, span.trace)
    )
