"""What each agent did with a question, read from its spans. Pure.

The attributes and events are those of docs/tracing.md; programs that tell less leave gaps, and gaps are empty here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from upriver.parameters import Reason
from upriver.tracing import Attribute, EventName, SpanName
from upriver_control.spans.facts import EventFacts, SpanFacts, clean, count, number, text, texts, truth
from upriver_control.spans.flags import flags_of
from upriver_control.spans.rows import CANCELLED, hop_of
from upriver_control.spans.skew import SLACK_NS
from upriver_control.spans.tree import Node, Tree, began_ns

MAX_TRIES: Final = 50
MAX_NOTES: Final = 20
_WORDS: Final[Mapping[str, str]] = {
    EventName.BUDGET_EMPTY: "a second upstream would have been asked, and there was no budget for it",
    EventName.BREAKER_OPENED: "{} is left alone from now on, as it kept failing",
    EventName.BREAKER_TRIAL: "{} was tried again after it had been left alone",
    EventName.BREAKER_CLOSED: "{} is well again",
    EventName.EJECTED: "{} is left out from now on, as its peers do much better",
    EventName.ALARM: "the alarm rings: what looks sure is in doubt",
}


class Cause(StrEnum):
    """Why an upstream was asked."""

    FIRST = "first"
    RETRY = "retry"
    HEDGE = "hedge"
    NONE = ""


class Outcome(StrEnum):
    """What came of asking an upstream."""

    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PASSED_OVER = "passed_over"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Try:
    """An upstream that was asked, or passed over: then `node` is -1 and there is no tier, cause, length or size."""

    agent: str
    outcome: Outcome
    start_ns: int
    cause: Cause = Cause.NONE
    tier: str = ""
    reason: str = ""
    message: str = ""
    length_ns: int = 0
    sent_bytes: int = 0
    rows: int = 0
    node: int = -1


@dataclass(frozen=True, slots=True)
class RowDecision:
    """What an agent decided of one row: why it ended there, or that it went up. Infinite numbers are what they are."""

    row: int
    score: float
    threshold: float
    reason: str
    went_up: bool


@dataclass(frozen=True, slots=True)
class Hop:
    """A question at one agent. `node` is the index of its `upriver.serve` span; times are corrected, since the epoch.

    `score` is the agent's own, of the least certain row that is told, and `threshold` what it was held against: None
    where it is not told. `answer_score` is that of the answer which it gave. `error` is empty unless it `failed`.
    """

    node: int
    number: int
    agent: str
    tier: str
    region: str
    model: str
    version: str
    question: str
    start_ns: int
    length_ns: int
    infer_ns: int
    failed: bool
    error: str
    reason: str
    answered_by: str
    answered_tier: str
    path: tuple[str, ...]
    policy: str
    answer_score: float | None
    score: float | None
    threshold: float | None
    resolved: bool
    degraded: bool
    row_count: int
    ticketed: int
    flags: int
    rows: tuple[RowDecision, ...] = ()
    tries: tuple[Try, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sent_bytes(self) -> int:
        """Bytes that it sent up, all tries together."""
        return sum(one.sent_bytes for one in self.tries)

    @property
    def name(self) -> str:
        """The agent with its tier, for people."""
        return named(self.agent, self.tier)


def named(agent: str, tier: str) -> str:
    """An agent with its tier, for people; one that is not told is somebody."""
    return (f"{agent} ({tier})" if tier else agent) or "somebody"


def hops_of(tree: Tree, shifts_ns: Sequence[int]) -> tuple[Hop, ...]:
    """The hops of a trace, in the order of its tree; `shifts_ns` are what its nodes' times are corrected by."""
    children = tree.children()
    return tuple(
        _hop(tree, index, children.get(index, ()), shifts_ns)
        for index, node in enumerate(tree.nodes)
        if node.span.name == SpanName.SERVE
    )


def _hop(tree: Tree, index: int, children: Sequence[int], shifts_ns: Sequence[int]) -> Hop:
    node = tree.nodes[index]
    serve, told = node.span, node.span.attributes
    inside = [tree.nodes[child].span for child in children]
    tier = text(told, Attribute.TIER)
    answered_by = text(told, Attribute.ANSWERED_BY)
    tries = _tries(tree, index, children, shifts_ns)
    degraded = truth(told, Attribute.DEGRADED) is True
    # An answer from above that can't be used counts as none: then the own one goes back, degraded.
    came = any(one.outcome is Outcome.ANSWERED for one in tries) and not (degraded and answered_by == node.agent)
    asked = any(one.node >= 0 for one in tries)
    rows = tuple(_rows(inside, asked, "" if came else text(told, Attribute.REASON)))
    answer_score = number(told, Attribute.SCORE)
    score = min((row.score for row in rows), default=answer_score if answered_by == node.agent else None)
    thresholds = [number(span.attributes, Attribute.THRESHOLD) for span in (serve, *inside) if _decides(span)]
    return Hop(
        node=index,
        number=hop_of(serve),
        agent=node.agent,
        tier=tier,
        region=text(told, Attribute.REGION),
        model=text(told, Attribute.MODEL),
        version=text(told, Attribute.VERSION),
        question=text(told, Attribute.QUESTION),
        start_ns=began_ns(serve) + shifts_ns[index],
        length_ns=serve.length_ns,
        infer_ns=sum(span.length_ns for span in inside if span.name == SpanName.INFER),
        failed=serve.failed or Attribute.ERROR_REASON in told,
        error=clean(serve.error, 1000),
        reason=text(told, Attribute.ERROR_REASON) or text(told, Attribute.REASON),
        answered_by=answered_by,
        answered_tier=text(told, Attribute.ANSWERED_TIER) or (tier if answered_by == node.agent else ""),
        path=texts(told, Attribute.PATH),
        policy=text(told, Attribute.POLICY),
        answer_score=answer_score,
        score=score,
        threshold=next((threshold for threshold in thresholds if threshold is not None), None),
        resolved=truth(told, Attribute.RESOLVED) is True,
        degraded=degraded,
        row_count=count(told, Attribute.ROWS),
        ticketed=count(told, Attribute.TICKETS),
        flags=flags_of(serve, skewed=serve.offset_ns != 0),
        rows=rows,
        tries=tries,
        notes=tuple(_notes(serve.events))[:MAX_NOTES],
    )


def _decides(span: SpanFacts) -> bool:
    return span.name in (SpanName.SERVE, SpanName.DECIDE)


def _rows(inside: Iterable[SpanFacts], asked: bool, came_back: str) -> Iterable[RowDecision]:
    """Rows that go up are told before it is known how that ends: `upstream_down` is said of them, and not meant.

    `asked` says whether any upstream was, and `came_back` why such rows ended here after all, empty when they did not.
    """
    for event in (event for span in inside if span.name == SpanName.DECIDE for event in span.events):
        score, threshold = number(event.attributes, Attribute.SCORE), number(event.attributes, Attribute.THRESHOLD)
        if event.name != EventName.ROW or score is None or threshold is None:
            continue
        why = text(event.attributes, Attribute.REASON)
        rose = why == Reason.UPSTREAM_DOWN
        row = count(event.attributes, Attribute.ROW)
        yield RowDecision(row, score, threshold, came_back if rose else why, rose and asked)


def _tries(tree: Tree, index: int, children: Sequence[int], shifts_ns: Sequence[int]) -> tuple[Try, ...]:
    serve = tree.nodes[index].span
    events = list(serve.events)
    asked = [child for child in children if tree.nodes[child].span.name == SpanName.ESCALATE]
    found = [
        _asked(tree.nodes[child], child, shifts_ns[child], _cause(tree.nodes[child].span, events, place == 0))
        for place, child in enumerate(asked)
    ]
    shift = serve.offset_ns + shifts_ns[index]
    found += [
        Try(
            agent=text(event.attributes, Attribute.UPSTREAM_AGENT),
            outcome=Outcome.PASSED_OVER,
            start_ns=event.at_ns + shift,
            reason=text(event.attributes, Attribute.REASON),
        )
        for event in serve.events
        if event.name == EventName.HELD_BACK
    ]
    return tuple(sorted(found, key=lambda one: one.start_ns)[:MAX_TRIES])


def _asked(node: Node, index: int, shift_ns: int, cause: Cause) -> Try:
    span, told = node.span, node.span.attributes
    if span.failed:
        outcome = Outcome.CANCELLED if span.error.startswith(CANCELLED) else Outcome.FAILED
    else:
        outcome = Outcome.ANSWERED if Attribute.ANSWERED_BY in told else Outcome.OPEN
    return Try(
        agent=text(told, Attribute.UPSTREAM_AGENT),
        outcome=outcome,
        start_ns=began_ns(span) + shift_ns,
        cause=cause,
        tier=text(told, Attribute.UPSTREAM_TIER),
        reason=text(told, Attribute.REASON),
        message=clean(span.error.removeprefix(CANCELLED), 1000),
        length_ns=span.length_ns,
        sent_bytes=count(told, Attribute.BYTES),
        rows=count(told, Attribute.ROWS),
        node=index,
    )


def _cause(call: SpanFacts, events: list[EventFacts], first: bool) -> Cause:
    """A second try is told by an event just before its call begins, which names the upstream; each counts once."""
    upstream = call.attributes.get(Attribute.UPSTREAM_AGENT)
    for event in reversed(events):
        said = event.name in (EventName.RETRY, EventName.HEDGE) and event.at_ns <= call.start_ns + SLACK_NS
        if said and event.attributes.get(Attribute.UPSTREAM_AGENT) == upstream:
            events.remove(event)
            return Cause.RETRY if event.name == EventName.RETRY else Cause.HEDGE
    return Cause.FIRST if first else Cause.NONE


def _notes(events: Iterable[EventFacts]) -> Iterable[str]:
    for event in events:
        if event.name == EventName.NOTE:
            yield text(event.attributes, Attribute.MESSAGE)
        elif event.name in _WORDS:
            yield _WORDS[event.name].format(text(event.attributes, Attribute.UPSTREAM_AGENT) or "an upstream")
