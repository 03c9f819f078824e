"""Lessons by class: how many of each label were handed up, as bars."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from upriver.v1 import train_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.fitting import extent, fit
from upriver_control.console.drawing.svg import Markup, join, rect, svg, tag, text

MOST: Final = 24
"""Classes with a bar; the others are counted together."""
_ROW: Final = 22.0
_REGIONS: Final = 6


def draw(told: train_pb2.SummarizeLessonsResponse, width: float) -> Markup:
    """The bars of one model's lessons, commonest first."""
    counted: Counter[str] = Counter()
    for one in told.summaries:
        counted.update(one.labels)
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ordered[:MOST], ordered[MOST:]
    if rest:
        shown = [*shown, (f"{len(rest)} more classes", sum(count for _, count in rest))]
    most, total = max((count for _, count in shown), default=1), sum(counted.values())
    names = min(0.4 * width, max((extent(label) for label, _ in shown), default=0.0) + 8)
    room = max(1.0, width - names - 96)
    rows = []
    for place, (label, count) in enumerate(shown):
        y = place * _ROW
        rows += [
            text(0, y + 15, fit(label, names)),
            rect(names, y + 4, room * count / most, 14, {"class": "classes-bar", "rx": 2}),
            text(names + room * count / most + 6, y + 15, f"{units.count(count)} · {units.share(count / total)}"),
        ]
    title = "; ".join(f"{label}: {count:,}" for label, count in shown)
    return svg(width, len(shown) * _ROW + 4, f"Lessons by class: {title}", *rows, name="classes")


def model(name: str, told: train_pb2.SummarizeLessonsResponse) -> Markup:
    """A model's lessons: how many there are, of which regions and since when, then the bars."""
    regions: Counter[str] = Counter()
    for one in told.summaries:
        regions[one.region or "no region"] += one.lessons
    dates = sorted(one.date for one in told.summaries)
    size = sum(one.size_bytes for one in told.summaries)
    named = [f"{region} {units.count(count)}" for region, count in regions.most_common(_REGIONS)]
    more = f", {len(regions) - _REGIONS} more regions" if len(regions) > _REGIONS else ""
    return join(
        tag("h3", None, name),
        words.facts(
            ("Handed up", f"{units.count(regions.total())} lessons"),
            ("Came", dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"),
            ("Takes", units.size(size)),
            ("Of", f"{', '.join(named)}{more}"),
        ),
        tag("div", {"class": "wide"}, draw(told, 520)),
        tag("div", {"class": "narrow"}, draw(told, 320)),
    )


def lessons(found: Iterable[tuple[str, train_pb2.SummarizeLessonsResponse]]) -> Markup:
    """All models' lessons."""
    some = [(name, told) for name, told in found if told.summaries]
    if not some:
        return words.nothing(
            "No lesson was handed up.",
            '[learning]\nkeep_inputs = true\nshare = "inputs"',
            "An agent with this hands up what is answered above, where the caller agrees (learn=true).",
        )
    cards = (tag("div", {"class": "classes-model", "data-model": name}, model(name, told)) for name, told in some)
    return tag("div", {"class": "columns"}, *cards)
