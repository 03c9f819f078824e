"""What commands say of questions beside their trees: a heading, a line in a list, and what came of one. Pure."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from upriver.tracing import Attribute
from upriver.v1 import question_pb2 as pb
from upriver_control.cli.messages import enum_word
from upriver_control.cli.trace_tree import clean, tree
from upriver_control.spans.why import duration
from upriver_control.telling.afterwards import happened
from upriver_control.telling.times import moment

_FLAGS = pb.QuestionFlag.DESCRIPTOR


def whole(answer: pb.GetTraceResponse, width: int) -> RenderableType:
    """Everything about one question: who and when, why, the tree, what came of it, and what is not known."""
    parts = [heading(answer.question), Text(clean(answer.why)), Text(), *tree(answer, width)]
    told = [*_afterwards(answer), *_clocks(answer), *(f"missing: {what}" for what in answer.missing)]
    if answer.url:
        told.append(f"elsewhere: {answer.url}")
    if told:
        parts += [Text(), *(Text(clean(line), style="dim") for line in told)]
    return Group(*parts)


def heading(question: pb.Question) -> Text:
    """Which question this is."""
    line = Text(clean(question.trace), style="bold")
    line.append(clean(f"  {question.model or 'something'} at {_where(question)}, {moment(question.time)}"), "")
    line.append(f", {latency(question)}", "bold")
    if flags := words(question):
        line.append(f"  {', '.join(flags)}", "yellow")
    return line


def line(question: pb.Question) -> str:
    """A question on one line."""
    by = "failed" if question.error or not question.answered_by else f"by {question.answered_by}"
    sure = f" {question.score:.2f}" if question.HasField("score") else ""
    flags = f" [{', '.join(words(question))}]" if question.flags else ""
    told = f"{moment(question.time)} {question.trace} {question.model} at {question.agent} {by} {question.reason}{sure}"
    return clean(f"{told} {latency(question)}{flags}")


def latency(question: pb.Question) -> str:
    """How long it took, with its unit."""
    return duration(question.latency.ToNanoseconds())


def words(question: pb.Question) -> tuple[str, ...]:
    """What is remarkable about it."""
    return tuple(enum_word(_FLAGS, flag) for flag in question.flags)


def _where(question: pb.Question) -> str:
    parts = ", ".join(part for part in (question.tier, question.region) if part)
    return f"{question.agent or question.service or 'an agent'}{f' ({parts})' if parts else ''}"


def _afterwards(answer: pb.GetTraceResponse) -> Iterator[str]:
    for one in answer.later:
        by = one.attributes.get(Attribute.ANSWERED_BY, "")
        at = f" at {one.agent}" if one.agent else ""
        yield f"{moment(one.time)}  {happened(one.name)}{at}{f', by {by}' if by else ''}"
    for audit in answer.audits:
        said = "agreed" if audit.agrees else "said otherwise"
        yield f"audited at {audit.agent}: {audit.top_agent or 'the top'} {said}"
    for name in answer.tickets:
        yield f"ticket {name.removeprefix('tickets/')}"


def _clocks(answer: pb.GetTraceResponse) -> Iterator[str]:
    for clock in answer.clocks:
        off = clock.offset.ToNanoseconds()
        how = "as its calls lie" if clock.estimated else "as it was when it sent them"
        yield f"{clock.agent}'s clock is {duration(abs(off))} {'ahead' if off > 0 else 'behind'}, {how}; corrected here"
