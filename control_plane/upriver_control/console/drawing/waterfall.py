"""All spans of a question on one axis of time: bars below each other, each with what it is in words."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from upriver.tracing import Attribute, EventName, SpanName
from upriver.v1 import question_pb2 as pb
from upriver_control.console import units
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.words import tier_class

MAX_SPANS: Final = 300
"""Bars that are drawn; more are counted."""
_MAX_DEPTH: Final = 8
_TICKS: Final = 5
_CLIENT: Final = 3
_EVENTS_SHOWN: Final = 32
_WORDS: Final[Mapping[str, str]] = {
    SpanName.INFER: "model runs",
    SpanName.DECIDE: "decides",
    SpanName.AUDIT: "audits",
}
_EVENTS: Final[Mapping[str, str]] = {
    EventName.ROW: "row decided",
    EventName.NOTE: "note",
    EventName.ALARM: "alarm",
    EventName.RETRY: "asks another after a failure",
    EventName.HEDGE: "asks another beside one that is late",
    EventName.BUDGET_EMPTY: "no budget to ask another",
    EventName.HELD_BACK: "passes one over",
    EventName.BREAKER_OPENED: "leaves one alone from now on",
    EventName.BREAKER_TRIAL: "tries one again",
    EventName.BREAKER_CLOSED: "one is well again",
    EventName.EJECTED: "leaves one out: its peers do better",
}


def draw(spans: Sequence[pb.TraceSpan], ladder: Sequence[str]) -> Markup:
    """The bars in the order of the spans, coloured by the tier of whose they are; calls upwards are outlined."""
    shown = spans[:MAX_SPANS]
    if not shown:
        return tag("p", {"class": "quiet"}, "No span of it is here.")
    tiers = {span.agent: told for span in shown if (told := span.attributes.get(Attribute.TIER, ""))}
    axis = axis_of(shown)
    lines = join(*(tag("i", {"class": "wf-line", "style": _left(axis, axis.first_s + at)}) for at in axis.ticks()))
    more = len(spans) - len(shown)
    return tag(
        "div",
        {"class": "waterfall"},
        _head(axis),
        tag(
            "ol",
            {"aria-label": "Spans"},
            *(_bar(span, tiers.get(span.agent, ""), ladder, axis, lines) for span in shown),
        ),
        tag("p", {"class": "quiet"}, f"{more} more spans are not drawn.") if more else None,
    )


@dataclass(frozen=True, slots=True)
class Axis:
    """The axis of time that all spans are on: where it begins and how long it is, in seconds."""

    first_s: float
    length_s: float

    def place(self, at_s: float) -> float:
        """Where a time is, in percent of the axis."""
        return min(100.0, max(0.0, 100 * (at_s - self.first_s) / self.length_s))

    def ticks(self) -> list[float]:
        """Round times since its beginning, in seconds, at most six of them."""
        step: float = 10 ** math.floor(math.log10(self.length_s / _TICKS))
        step = next(step * factor for factor in (1, 2, 5, 10, 20) if self.length_s / (step * factor) <= _TICKS)
        return [index * step for index in range(int(self.length_s / step) + 1)]


def axis_of(spans: Iterable[pb.TraceSpan]) -> Axis:
    """The axis on which all of them are, whatever their times."""
    known = [(units.seconds(span.start), max(0.0, units.seconds(span.length))) for span in spans]
    first = min((start for start, _ in known), default=0.0)
    last = max((start + length for start, length in known), default=0.0)
    return Axis(first, max(last - first, 1e-9))


def name_of(span: pb.TraceSpan) -> str:
    """What a span is, in words: `device-1`, `asks far-edge-1`, `model runs`."""
    if span.name == SpanName.SERVE:
        return span.agent or span.service
    if span.name == SpanName.ESCALATE:
        return f"asks {span.attributes.get(Attribute.UPSTREAM_AGENT, 'an upstream')}"
    return _WORDS.get(span.name, span.name)


def _head(axis: Axis) -> Markup:
    marks = [tag("span", {"style": _left(axis, axis.first_s + at)}, units.ms(at) if at else "0") for at in axis.ticks()]
    track = tag("span", {"class": "wf-track"}, *marks)
    return tag("div", {"class": "wf-row wf-axis", "aria-hidden": "true"}, tag("span", None), track)


def _bar(span: pb.TraceSpan, tier: str, ladder: Sequence[str], axis: Axis, lines: Markup) -> Markup:
    start, took = units.seconds(span.start), max(0.0, units.seconds(span.length))
    kind = "call" if span.kind == _CLIENT else "serve" if span.name == SpanName.SERVE else "work"
    names = f"wf-bar {kind} {tier_class(tier, ladder)}{' failed' if span.error else ''}"
    width = f"width:{axis.place(start + took) - axis.place(start):.3f}%"
    bar = tag("span", {"class": names, "style": f"{_left(axis, start)};{width}"})
    events = [_event(event, axis) for event in span.events[:_EVENTS_SHOWN] if event.name != EventName.ROW]
    since = tag("span", {"class": "unseen"}, f"from {units.ms(start - axis.first_s)}, for ")
    return tag(
        "li",
        {"class": f"wf-row {kind}"},
        _label(span, tier if kind == "serve" else ""),
        tag("span", {"class": "wf-track"}, lines, bar, *events),
        tag("span", {"class": "wf-took"}, since, units.ms(took)),
    )


def _label(span: pb.TraceSpan, tier: str) -> Markup:
    depth = f"padding-left:{0.85 * min(span.depth, _MAX_DEPTH):.2f}rem"
    return tag(
        "span",
        {"class": "wf-name", "style": depth, "title": span.name},
        name_of(span),
        tag("span", {"class": "who-tier quiet"}, f" {tier}") if tier else None,
        tag("span", {"class": "bad"}, f" {span.error}") if span.error else None,
    )


def _event(event: pb.TraceEvent, axis: Axis) -> Markup:
    said = event.attributes.get(Attribute.UPSTREAM_AGENT, ""), event.attributes.get(Attribute.MESSAGE, "")
    told = " ".join(filter(None, (_EVENTS.get(event.name, event.name), *said)))
    return tag("i", {"class": "wf-event", "style": _left(axis, units.seconds(event.time_offset)), "title": told})


def _left(axis: Axis, at_s: float) -> str:
    return f"left:{axis.place(at_s):.3f}%"
