"""Who answered and why, at one look."""

from collections.abc import Sequence

from upriver.v1 import question_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing import cascade, question_list
from upriver_control.console.drawing.svg import Markup, join, tag


def draw(trace: pb.GetTraceResponse, ladder: Sequence[str]) -> Markup:
    """The sentence that says it, in large letters; the way there; the rest of the paragraph; and what it was."""
    first, rest = split(trace.why)
    question = trace.question
    return join(
        tag("p", {"class": "verdict"}, first),
        cascade.draw(trace.hops, question.answered_by, ladder) if trace.hops else None,
        tag("p", {"class": "verdict-rest"}, rest) if rest else None,
        _facts(trace),
    )


def split(why: str) -> tuple[str, str]:
    """The first sentence of a paragraph and the rest. A full stop within a number or a name ends none."""
    at = why.find(". ")
    return (why, "") if at < 0 else (why[: at + 1], why[at + 2 :])


def _facts(trace: pb.GetTraceResponse) -> Markup:
    question = trace.question
    link = tag("a", {"href": trace.url, "rel": "noreferrer"}, "Show in the other back end") if trace.url else None
    return words.facts(
        ("Asked", units.day(question.time) if question.HasField("time") else None),
        ("Took", units.ms(question.latency) if question.HasField("latency") else None),
        ("Model", question.model),
        ("Rows", units.count(question.rows) if question.rows else None),
        ("Remarkable", question_list.flags(question.flags)),
        ("Question", tag("code", None, question.question) if question.question else None),
        ("Trace", tag("code", None, question.trace)),
        ("Elsewhere", link),
    )
