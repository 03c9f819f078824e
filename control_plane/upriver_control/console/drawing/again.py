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


def draw(first: pb.Question, answers: Sequence[Answer]) -> Markup:
    """The table; nothing before anybody was asked."""
    if not answers:
        return Markup()
    known = [one.told for one in answers if one.told is not None]
    told = [*score.told_by(first), *(value for one in known for value in score.told_by(one))]
    scale = score.scale_of(told)
    labels = {one.label for one in known if one.label}
    columns = ("Asked", "Answered by", "Answer", "Confidence and threshold", Column("Took", numbers=True))
    rows = [_first(first, scale), *(_row(one, scale) for one in answers)]
    differ = tag("p", {"class": "warn"}, f"They differ: {', '.join(sorted(labels))}.") if len(labels) > 1 else None
    return join(table("Asked again, side by side", columns, rows, hidden_caption=True), differ)


def label(answer: pb.AskAgainResponse) -> str:
    """What was answered: the label, else the outputs by name and size."""
    outputs = ", ".join(f"{one.name} {list(one.shape)}" for one in answer.answer.outputs)
    return answer.label or outputs or units.NONE


def _first(first: pb.Question, scale: score.Scale) -> Sequence[Child]:
    value, threshold = score.told_by(first)
    bar = score.with_numbers(value, threshold, scale)
    answer = tag("span", {"class": "quiet"}, "not in its spans")
    return ("The first time", first.answered_by or units.NONE, answer, bar, units.ms(first.latency))


def _row(one: Answer, scale: score.Scale) -> Sequence[Child]:
    if one.told is None:
        state = words.chip("failed", "bad") if one.problem else words.chip("asked …", "quiet")
        return (one.whom, state, one.problem or units.NONE, units.NONE, units.NONE)
    told = one.told
    whom = tag("a", {"href": address(told.trace)}, one.whom) if told.trace else one.whom
    bar = score.with_numbers(*score.told_by(told), scale)
    return (whom, told.answered_by, tag("strong", None, label(told)), bar, units.ms(told.latency))
