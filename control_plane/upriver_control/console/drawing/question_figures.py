"""Figures over questions: how long they took, who answered, and why it ended there."""

from collections.abc import Sequence

from upriver.v1 import question_pb2 as pb
from upriver_control.console import units
from upriver_control.console.asked import Asked
from upriver_control.console.drawing import latency
from upriver_control.console.drawing.svg import Child, Markup, tag
from upriver_control.console.ladder import in_order
from upriver_control.console.words import tier_class

REASONS = 8


def draw(told: pb.SummarizeQuestionsResponse, asked: Asked, ladder: Sequence[str]) -> Markup:
    """Three cards; nothing without questions. Each share leads to the questions that it counts."""
    if not told.kept:
        return Markup()
    return tag("div", {"class": "columns"}, _how_long(told, ladder), _who(told, asked, ladder), _why(told, asked))


def _how_long(told: pb.SummarizeQuestionsResponse, ladder: Sequence[str]) -> Markup:
    bins = [latency.Bin(units.seconds(one.low), units.seconds(one.high), dict(one.by_tier)) for one in told.bins]
    p50, p95 = units.seconds(told.p50), units.seconds(told.p95)
    return _card(
        "How long they took",
        tag(
            "p",
            {"class": "figures"},
            *(tag("b", None, units.ms(p50)), " p50 "),
            *(tag("b", None, units.ms(p95)), " p95"),
        ),
        latency.draw(bins, p50, p95, ladder),
        latency.legend(sorted({tier for one in bins for tier in one.by_tier}), ladder),
        tag("p", {"class": "quiet range"}, _range(told)),
    )


def _who(told: pb.SummarizeQuestionsResponse, asked: Asked, ladder: Sequence[str]) -> Markup:
    by_name = {one.name: one.count for one in told.answered_tiers}
    counts = [
        latency.Share(name, by_name[name], tier_class(name, ladder), asked.address(answered=name))
        if name
        else latency.Share(latency.FAILED, by_name[name], "failed", asked.address(flags=("failed",)))
        for name in in_order(by_name, ladder)
    ]
    return _card("Who answered", latency.shares("Who answered", counts))


def _why(told: pb.SummarizeQuestionsResponse, asked: Asked) -> Markup:
    counts = [
        latency.Share(one.name or "not told", one.count, "plain-fill", asked.address(reason=one.name))
        for one in told.reasons[:REASONS]
    ]
    return _card("Why it ended there", latency.shares("Reasons", counts))


def _card(title: str, *content: Child) -> Markup:
    return tag("section", {"class": "card"}, tag("h2", None, title), *content)


def _range(told: pb.SummarizeQuestionsResponse) -> str:
    newest = "the newest " if told.truncated else ""
    kept = f"Of {newest}{units.count(told.kept)} that are kept, which stand for about {units.count(told.estimated)}"
    return f"{kept}: {units.day(told.from_time)} to {units.clock(told.until_time)}"
