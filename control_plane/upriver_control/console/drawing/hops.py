"""What each agent did with a question, one card after the other."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from upriver.parameters import Reason
from upriver.v1 import question_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing import score
from upriver_control.console.drawing.question_list import who
from upriver_control.console.drawing.svg import Child, Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.console.words import tier_class
from upriver_control.telling.reasons import WHY_ENDED

_CAUSES: Final[Mapping[str, str]] = {
    "first": "asked first",
    "retry": "after one that failed",
    "hedge": "beside one that was late",
}
_OUTCOMES: Final[Mapping[str, tuple[str, str]]] = {
    "answered": ("answered", "good"),
    "failed": ("failed", "bad"),
    "cancelled": ("cancelled", "quiet"),
    "passed_over": ("passed over", "warn"),
    "open": ("not told", "quiet"),
}


def draw(hops: Sequence[pb.Hop], ladder: Sequence[str], versions: Mapping[str, str]) -> Markup:
    """The cards, the touch point's first, with one scale for all bars. `versions` are names by digest."""
    scale = score.scale_of(value for hop in hops for value in score.told_by(hop))
    heading = tag("h2", {"class": "unseen"}, "What each agent did")
    return join(heading, tag("div", {"class": "hops"}, *(_card(hop, ladder, scale, versions) for hop in hops)))


def meaning(reason: str) -> str:
    """What a reason means; empty for one that is not known."""
    if reason == Reason.CONFIDENT:
        return "it was sure enough"
    return WHY_ENDED.get(reason, "")


def _card(hop: pb.Hop, ladder: Sequence[str], scale: score.Scale, versions: Mapping[str, str]) -> Markup:
    name = f"hop-{hop.span}"
    value, threshold = score.told_by(hop)
    shown = who(hop.agent or "not told", hop.tier, ladder)
    agent = tag("a", {"href": f"/fleet/{quote(hop.agent, safe='')}"}, shown) if hop.agent else shown
    title = tag("h3", {"id": name, "tabindex": -1}, f"{hop.number + 1}. ", agent)
    return tag(
        "article",
        {"class": f"card hop {tier_class(hop.tier, ladder)}", "aria-labelledby": name},
        tag("div", {"class": "list-head"}, title, tag("span", {"class": "number"}, units.ms(hop.length))),
        tag(
            "div",
            {"class": "hop-score"},
            score.with_numbers(value, threshold, scale, 220),
            tag("span", {"class": "quiet"}, score.verdict(value, threshold)),
        ),
        _because(hop),
        words.facts(*_facts(hop, versions)),
        _tries(hop, ladder),
        _rows(hop, scale),
        tag("ul", {"class": "notes"}, *(tag("li", None, note) for note in hop.notes)) if hop.notes else None,
    )  # fmt: skip


def _because(hop: pb.Hop) -> Markup:
    """Why it ended where it did, of the answer that this agent gave."""
    if hop.error:
        return tag(
            "p", {"class": "bad"}, f"Failed, {hop.reason}: {hop.error}" if hop.reason else f"Failed: {hop.error}"
        )
    means = meaning(hop.reason)
    marks = join(
        words.chip("degraded", "warn") if hop.degraded else None,
        words.chip("unresolved", "warn") if not hop.resolved else None,
        words.chip(f"{hop.ticketed} under a ticket") if hop.ticketed else None,
    )
    reason = tag("code", None, hop.reason) if hop.reason else "not told"
    whose = "its own" if hop.answered_by in ("", hop.agent) else f"{hop.answered_by}'s"
    return tag("p", None, f"It gave {whose} answer: ", reason, f", {means} " if means else " ", marks)


def _facts(hop: pb.Hop, versions: Mapping[str, str]) -> Sequence[tuple[str, Child]]:
    known = versions.get(hop.version, "")
    digest = tag("code", {"title": hop.version}, words.digest(hop.version)) if hop.version else None
    version = join(f"{known} ", digest) if known else digest
    policy = (
        _linked("policies", hop, tag("code", {"title": hop.policy}, words.digest(hop.policy))) if hop.policy else None
    )
    model = _linked("models", hop, hop.model) if hop.model else None
    return (
        ("Model", model),
        ("Version", version),
        ("Policy", policy),
        ("Region", hop.region),
        ("Rows", units.count(hop.row_count)),
        ("Model ran", units.ms(hop.infer) if hop.HasField("infer") else None),
        ("Sent up", units.size(hop.bytes_up) if hop.bytes_up else None),
    )


def _linked(pages: str, hop: pb.Hop, shown: Child) -> Child:
    """A link to the page of the hop's model, where it is told."""
    return tag("a", {"href": f"/{pages}/{quote(hop.model, safe='')}"}, shown) if hop.model else shown


def _tries(hop: pb.Hop, ladder: Sequence[str]) -> Markup | None:
    if not hop.tries:
        return None
    columns = ("Upstream", "Why it was asked", "What came of it", Column("Rows", numbers=True),
               Column("Sent", numbers=True), Column("Took", numbers=True))  # fmt: skip
    return table(f"Who was asked above {hop.agent}", columns, [_try(one, ladder) for one in hop.tries])


def _try(one: pb.Try, ladder: Sequence[str]) -> Row:
    asked = one.outcome != "passed_over"
    outcome, tone = _OUTCOMES.get(one.outcome, (one.outcome, ""))
    why = ": ".join(filter(None, (one.reason, one.message)))
    return Row(
        [
            who(one.agent, one.tier, ladder),
            _CAUSES.get(one.cause, one.cause) if asked else "not asked",
            join(words.chip(outcome, tone), tag("span", {"class": "quiet"}, f" {why}") if why else None),
            units.count(one.rows) if asked else units.NONE,
            units.size(one.bytes) if asked else units.NONE,
            units.ms(one.length) if asked else units.NONE,
        ]
    )


def _rows(hop: pb.Hop, scale: score.Scale) -> Markup | None:
    if len(hop.rows) < 2:
        return None
    left = hop.row_count - len(hop.rows)
    caption = f"What {hop.agent} decided of its rows" + (
        f", the first {len(hop.rows)} of {hop.row_count}" if left > 0 else ""
    )
    rows = [
        [
            f"Row {row.row}",
            score.with_numbers(row.score, row.threshold, scale),
            "went up" if row.went_up else row.reason or units.NONE,
        ]
        for row in hop.rows
    ]
    drawn = table(caption, ("Row", "Confidence and threshold", "Then"), rows, hidden_caption=True)
    return tag("details", None, tag("summary", None, f"{len(hop.rows)} rows"), drawn)
