"""What came of a question: tickets, audits, lessons that something was made of; and what is not known."""

from collections.abc import Sequence
from typing import Final

from upriver.tracing import Attribute
from upriver.v1 import question_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing.question_list import address
from upriver_control.console.drawing.svg import Child, Markup, join, tag
from upriver_control.console.drawing.table import table
from upriver_control.telling.afterwards import happened

_TOLD: Final = (
    Attribute.ANSWERED_BY,
    Attribute.REASON,
    Attribute.MODEL,
    Attribute.VERSION,
    Attribute.POLICY,
    Attribute.LESSONS,
    Attribute.TRAINING,
    Attribute.ROLLOUT,
    Attribute.STATE,
    Attribute.MESSAGE,
)


def draw(trace: pb.GetTraceResponse) -> Markup:
    """A card; it says so when nothing is known to have come of it."""
    tickets = [tag("li", None, *_ticket(name)) for name in trace.tickets]
    later = [_later(one) for one in trace.later]
    parts: list[Child] = [
        tag("ul", {"class": "plain-list"}, *tickets) if tickets else None,
        table("Afterwards", ("What", "When", "Where", "What is told"), later, hidden_caption=True) if later else None,
        _audits(trace),
    ]
    if not any(parts):
        parts = [tag("p", {"class": "quiet"}, "Nothing is known to have come of it: no ticket, audit or lesson.")]
    return tag("section", {"class": "card"}, tag("h2", None, "What came of it"), *parts)


def unknown(trace: pb.GetTraceResponse) -> Markup:
    """Clocks that are off, and what is missing; nothing where all is well."""
    clocks = [tag("li", None, clock(one)) for one in trace.clocks]
    missing = [tag("li", None, what) for what in trace.missing]
    return join(
        _notice("Clocks were put right", clocks) if clocks else None,
        _notice("What is missing", missing) if missing else None,
    )


def clock(one: pb.ClockOffset) -> str:
    """How far a clock is off: `far-1's clock is 2.3 s ahead, as its calls lie; its times are corrected`."""
    ahead = units.seconds(one.offset)
    side = "ahead" if ahead > 0 else "behind"
    how = "estimated from how its calls lie" if one.estimated else "read when its spans came"
    return f"{one.agent or 'another service'}: {units.ms(abs(ahead))} {side}, {how}; its times are corrected"


def _notice(title: str, entries: Sequence[Markup]) -> Markup:
    return tag("section", {"class": "notice"}, tag("h2", None, title), tag("ul", {"class": "plain-list"}, *entries))


def _ticket(name: str) -> Sequence[Child]:
    return (
        "Ticket ",
        tag("code", None, name.removeprefix("tickets/")),
        ": ",
        tag("a", {"href": "/learning"}, "see what waits for a person"),
    )


def _later(one: pb.Later) -> Sequence[Child]:
    told = ", ".join(
        f"{key.removeprefix('upriver.')} {words.digest(value) if value.startswith('sha256:') else value}"
        for key in _TOLD
        if (value := one.attributes.get(key, ""))
    )
    what = tag("a", {"href": address(one.trace)}, _sentence(happened(one.name)))
    when = tag("span", {"class": "whole"}, units.day(one.time))
    return (what, when, one.agent or "control plane", told or units.NONE)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _audits(trace: pb.GetTraceResponse) -> Markup | None:
    if not trace.audits:
        return None
    rows = [
        [
            units.day(audit.asked_time),
            f"{audit.agent}: {audit.answer}",
            f"{audit.top_agent}: {audit.top_answer}",
            words.chip("agrees", "good") if audit.agrees else words.chip("differs", "bad"),
        ]
        for audit in trace.audits
    ]
    return table("Audits: an answer held against the top's", ("When", "Said", "Held against", "Verdict"), rows)
