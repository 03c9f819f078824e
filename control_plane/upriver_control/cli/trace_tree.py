"""A trace as a tree with bars on one time axis, for the terminal: the console's waterfall in characters. Pure.

Names in it are whatever whoever may export has written, so they are never read as markup, and what would move the
cursor is left out.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from upriver.tracing import SpanName
from upriver.v1 import question_pb2 as pb
from upriver_control.spans.why import duration, held_against

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_HALF: Final = "▐"
_LEAST_BAR: Final = 12
_MOST_LABEL: Final = 46
_SURE_CELLS: Final = 10
STYLES: Final[Mapping[str, str]] = {
    SpanName.SERVE: "bold cyan",
    SpanName.INFER: "green",
    SpanName.DECIDE: "magenta",
    SpanName.ESCALATE: "yellow",
}
"""Of kinds of spans; others are plain."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `label` with the branches before it, the span on the axis, and what is to be said of it."""

    branches: str
    label: str
    style: str
    start_s: float
    length_s: float
    note: str
    failed: bool


def tree(answer: pb.GetTraceResponse, width: int) -> list[Text]:
    """All spans, one a line, at most `width` cells wide; a line above them tells the axis."""
    rows = list(_rows(answer))
    if not rows:
        return []
    begins = min(row.start_s for row in rows)
    whole_s = max(row.start_s + row.length_s for row in rows) - begins
    times = [_time(row.length_s) for row in rows]
    time_cells = max(map(len, times))
    label_cells = min(_MOST_LABEL, width // 2, max(len(row.branches) + cell_len(row.label) for row in rows))
    note_cells = min(max(cell_len(row.note) for row in rows), max(0, width - label_cells - time_cells - _LEAST_BAR - 6))
    bar_cells = max(_LEAST_BAR, width - label_cells - time_cells - note_cells - 6)
    lines = [_axis(label_cells, bar_cells, whole_s)]
    for row, time in zip(rows, times, strict=True):
        style = "bold red" if row.failed else row.style
        line = Text(row.branches[:label_cells], style="dim")
        line.append(_fit(row.label, label_cells - line.cell_len), style)
        line.append("  " + bar(row.start_s - begins, row.length_s, whole_s, bar_cells), style)
        line.append(f"  {time:>{time_cells}}")
        line.append("  " + _fit(row.note, note_cells).rstrip(), "red" if row.failed else "dim")
        line.rstrip()
        lines.append(line)
    return lines


def bar(start_s: float, length_s: float, whole_s: float, cells: int) -> str:
    """Where a span lies within a whole, to an eighth of a cell at its end and half a cell where it begins.

    Whatever its length, something of it is seen.
    """
    if whole_s <= 0:
        return "█" * cells
    first, last = (min(1.0, max(0.0, at / whole_s)) * cells for at in (start_s, start_s + length_s))
    begins, ends = min(int(first), cells - 1), min(int(last), cells)
    rest = _EIGHTHS[int((last - ends) * 8)] if ends < cells else ""
    if ends <= begins:
        shown = _HALF if first - begins >= 0.5 else (rest if rest.strip() else _EIGHTHS[1])
    else:
        shown = (_HALF if first - begins >= 0.5 else "█") + "█" * (ends - begins - 1) + rest
    return (" " * begins + shown).ljust(cells)


def sureness(score: float, threshold: float, cells: int = _SURE_CELLS) -> str:
    """A score as a bar from 0 to 1, with a mark where the threshold is: `[█████   |  ]`."""
    filled = 0 if not score > 0 else round(min(1.0, score) * cells)
    marks = list("█" * filled + " " * (cells - filled))
    if 0 <= threshold <= 1:
        marks[min(cells - 1, int(threshold * cells))] = "|"
    return f"[{''.join(marks)}]"


def clean(text: str) -> str:
    """One line of what can be printed."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _rows(answer: pb.GetTraceResponse) -> Iterator[Row]:
    hops = {hop.span: hop for hop in answer.hops}
    tries = {one.span: one for hop in answer.hops for one in hop.tries if one.span}
    spans = list(answer.spans)
    last = _last_of_their_parents(spans)
    open_above: list[bool] = []
    for index, span in enumerate(spans):
        depth = max(0, span.depth)
        del open_above[depth:]
        open_above += [False] * (depth - len(open_above))
        branches = "".join("│  " if is_open else "   " for is_open in open_above[1:])
        if depth:
            branches += "└─ " if last[index] else "├─ "
        open_above.append(not last[index])
        label, note = _words(span, hops.get(span.span), tries.get(span.span))
        start_s, length_s = span.start.ToNanoseconds() / 1e9, span.length.ToNanoseconds() / 1e9
        style = STYLES.get(span.name, "")
        yield Row(branches, clean(label), style, start_s, length_s, clean(note), bool(span.error))


def _last_of_their_parents(spans: Sequence[pb.TraceSpan]) -> list[bool]:
    """For each span, which come depth first, whether no later one hangs beside it."""
    later: set[int] = set()
    last = [False] * len(spans)
    for index in range(len(spans) - 1, -1, -1):
        depth = max(0, spans[index].depth)
        last[index] = depth not in later
        later = {other for other in later if other <= depth} | {depth}
    return last


def _words(span: pb.TraceSpan, hop: pb.Hop | None, one: pb.Try | None) -> tuple[str, str]:
    """What a line is called, and what is said of it."""
    if hop is not None:
        return f"{hop.agent or 'an agent'} ({hop.tier or '?'})", _about_hop(hop)
    if one is not None:
        kind = f"{one.cause}, " if one.cause not in ("", "first") else ""
        said = one.message or one.outcome
        return f"asks {one.agent or 'an agent'}", f"{kind}{one.bytes:,} bytes up, {said}"
    name = span.name.removeprefix("upriver.") if span.name.startswith("upriver.") else f"{span.service}: {span.name}"
    return name, span.error


def _about_hop(hop: pb.Hop) -> str:
    if hop.error:
        return f"failed: {hop.error}"
    if not hop.HasField("score") or not hop.HasField("threshold"):
        return hop.reason
    enough = hop.score >= hop.threshold
    said = held_against(hop.score, hop.threshold)
    meter = sureness(hop.score, hop.threshold) + " " if math.isfinite(hop.score) else ""
    return f"{meter}{'sure: ' if enough else 'unsure: '}{said}"


def _axis(label_cells: int, bar_cells: int, whole_s: float) -> Text:
    return Text(" " * label_cells + "  0" + _time(whole_s).rjust(bar_cells - 1), style="dim")


def _time(seconds: float) -> str:
    """As `duration`, with one more digit below a millisecond: spans are often that short."""
    return f"{seconds * 1e3:.2f} ms" if 0 <= seconds < 1e-3 else duration(seconds * 1e9)


def _fit(text: str, cells: int) -> str:
    if cells <= 0:
        return ""
    return set_cell_size(text, cells) if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"
