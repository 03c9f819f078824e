"""Questions as a table: who was asked what, who answered, why, how sure, and how long it took."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from upriver.parameters import Reason
from upriver.v1 import question_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.asked import Asked
from upriver_control.console.drawing import score
from upriver_control.console.drawing.svg import Child, Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.console.words import tier_class

COLUMNS: Final = (
    Column("Time, UTC"),
    Column("Model", narrow=False),
    Column("Asked at", narrow=False),
    Column("Answered by"),
    Column("Why it ended there", narrow=False),
    Column("Confidence and threshold", narrow=False),
    Column("Took", numbers=True),
    Column("Remarkable", narrow=False),
)
_ASK: Final = "upriver infer MODEL INPUT --agent HOST:PORT"
_TONES: Final[Mapping[int, str]] = {
    pb.QUESTION_FLAG_DEGRADED: "warn",
    pb.QUESTION_FLAG_UNRESOLVED: "warn",
    pb.QUESTION_FLAG_FAILED: "bad",
    pb.QUESTION_FLAG_TICKETED: "",
    pb.QUESTION_FLAG_ALARMED: "bad",
    pb.QUESTION_FLAG_HEDGED: "quiet",
    pb.QUESTION_FLAG_SKEWED: "quiet",
}
"""Of the flags that are shown. That a question went up is told by who answered it."""


def listed(questions: Sequence[pb.Question], asked: Asked, ladder: Sequence[str], older: bool) -> Markup:
    """The list with its heading and the ways to newer and, if there are any, `older` ones."""
    title = tag("h2", None, "Older" if asked.before_ns else "Newest")
    heading = tag("div", {"class": "list-head"}, title, _pace(asked))
    if not questions:
        return join(heading, _none(asked))
    newest, oldest = questions[0], questions[-1]
    caption = f"{len(questions)} questions, {units.day(oldest.time)} to {units.clock(newest.time)}"
    links = []
    if asked.before_ns:
        links.append(tag("a", {"href": asked.address(), "class": "button"}, "Newest"))
    if older:
        href = asked.address(before_ns=oldest.time.ToNanoseconds())
        links.append(tag("a", {"href": href, "class": "button"}, "Older"))
    pager = tag("nav", {"class": "pager", "aria-label": "More questions"}, *links) if links else None
    return join(heading, draw(questions, ladder, caption), pager)


def draw(questions: Sequence[pb.Question], ladder: Sequence[str], caption: str) -> Markup:
    """The table, newest first as they come."""
    return table(caption, COLUMNS, [_row(one, ladder) for one in questions])


def flags(names: Sequence["pb.QuestionFlag"]) -> Markup:
    """What is remarkable, as chips."""
    return join(*(words.chip(flag_name(flag), _TONES[flag]) for flag in names if flag in _TONES))


def flag_name(flag: int) -> str:
    """A flag's name as it is shown."""
    return pb.QuestionFlag.Name(flag).removeprefix("QUESTION_FLAG_").lower()


def who(agent: str, tier: str, ladder: Sequence[str]) -> Markup:
    """An agent with the colour and name of its tier."""
    return tag(
        "span",
        {"class": "who"},
        tag("span", {"class": f"dot {tier_class(tier, ladder)}"}),
        tag("span", {"class": "who-name"}, agent),
        tag("span", {"class": "quiet who-tier wide-only"}, tier) if tier else None,
    )


def address(trace: str) -> str:
    """A question's own page."""
    return f"/questions/{quote(trace, safe='')}"


def _pace(asked: Asked) -> Markup:
    if asked.live:
        state, href, word = words.chip("live", "good"), asked.address(paused=True), "Pause"
    else:
        state, href, word = words.chip("not live", "quiet"), asked.address(paused=False, until=""), "Go live"
    return tag("span", {"class": "pace"}, state, tag("a", {"href": href}, word))


def _none(asked: Asked) -> Markup:
    if asked.narrowed:
        return words.nothing("No kept question fits these filters.", then="Take one away, or look further back.")
    return words.nothing(
        "No question has been kept yet.",
        _ASK,
        "Agents send spans of what was escalated, degraded, unresolved or failed, and of a share of the rest: "
        "telemetry.sample_rate.",
    )


def _row(one: pb.Question, ladder: Sequence[str]) -> Row:
    failed = pb.QUESTION_FLAG_FAILED in one.flags
    answered: Child = who(one.answered_by, one.answered_tier, ladder)
    if not one.answered_by:
        answered = words.chip("failed", "bad") if failed else tag("span", {"class": "quiet"}, "not told")
    value, threshold = score.told_by(one)
    sure = one.reason == Reason.CONFIDENT
    cells: list[Child] = [
        tag("span", {"title": units.day(one.time)}, units.clock(one.time)),
        join(one.model, tag("span", {"class": "quiet"}, f", {one.rows} rows") if one.rows > 1 else None),
        who(one.agent, one.tier, ladder),
        answered,
        tag("span", {"class": None if sure or not failed else "bad"}, one.reason or units.NONE),
        score.with_numbers(value, threshold, score.around(threshold), 72),
        units.ms(one.latency),
        flags(one.flags),
    ]
    tone = "bad" if failed else "warn" if pb.QUESTION_FLAG_DEGRADED in one.flags else ""
    return Row(cells, key=f"{one.trace} {one.agent} {one.hop}", href=address(one.trace), tone=tone)
