"""The answers of those who were asked again, side by side with the first one."""

from collections.abc import Sequence
from dataclasses import dataclass

from upriver.v1 import question_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing import score
from upriver_control.console.drawing.question_list import address
from upriver_control.console.drawing.svg import Child, Markup, join, tag
from upriver_control.console.drawing.table import Column, table


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking `whom`: an answer, or why there is none; neither while it is waited for."""

    whom: str
    told: pb.AskAgainResponse | None = None
    problem: str = ""


def draw(first: pb.Question, kept: pb.GetQuestionInputResponse, answers: Sequence[Answer]) -> Markup:
    """The table; nothing before anybody was asked. `kept` is what is kept of the first time."""
    if not answers:
        return Markup()
    known = [one.told for one in answers if one.told is not None]
    told = [*score.told_by(first), *(value for one in known for value in score.told_by(one))]
    scale = score.scale_of(told)
    labels = {told for told in (kept.label, *(one.label for one in known)) if told}
    columns = ("Asked", "Answered by", "Answer", "Confidence and threshold", Column("Took", numbers=True))
    rows = [_first(first, kept, scale), *(_row(one, scale) for one in answers)]
    differ = tag("p", {"class": "warn"}, f"They differ: {', '.join(sorted(labels))}.") if len(labels) > 1 else None
    return join(table("Asked again, side by side", columns, rows, hidden_caption=True), differ)


def label(answer: pb.AskAgainResponse) -> str:
    """What was answered: the label, else the outputs by name and size."""
    outputs = ", ".join(f"{one.name} {list(one.shape)}" for one in answer.answer.outputs)
    return answer.label or outputs or units.NONE


def _first(first: pb.Question, kept: pb.GetQuestionInputResponse, scale: score.Scale) -> Sequence[Child]:
    value, threshold = score.told_by(first)
    bar = score.with_numbers(value, threshold, scale)
    return ("The first time", first.answered_by or units.NONE, _then(kept), bar, units.ms(first.latency))


def _then(kept: pb.GetQuestionInputResponse) -> Markup:
    """What is kept as its answer, and where: spans have none, and what a ticket or lesson has may have come later."""
    if not kept.label:
        return tag("span", {"class": "quiet"}, "not kept")
    guess = "best guess in its ticket" + (f", of {kept.labelled_by}" if kept.labelled_by else "")
    told = guess if kept.source == "ticket" else f"in its lesson, from {kept.labelled_by or 'above'}"
    return join(tag("strong", None, kept.label), " ", tag("span", {"class": "quiet"}, f"({told})"))


def _row(one: Answer, scale: score.Scale) -> Sequence[Child]:
    if one.told is None:
        state = words.chip("failed", "bad") if one.problem else words.chip("asked …", "quiet")
        return (one.whom, state, one.problem or units.NONE, units.NONE, units.NONE)
    told = one.told
    whom = tag("a", {"href": address(told.trace)}, one.whom) if told.trace else one.whom
    bar = score.with_numbers(*score.told_by(told), scale)
    return (whom, told.answered_by, tag("strong", None, label(told)), bar, units.ms(told.latency))
