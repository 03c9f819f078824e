"""Shares side by side: over time as lines, and with the range in which they certainly are, as whiskers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from upriver_control.console import units
from upriver_control.console.drawing.fitting import extent, fit, within
from upriver_control.console.drawing.svg import Markup, join, line, number, rect, svg, tag, text

COLOURS: Final = ("var(--tier-1)", "var(--tier-3)")
"""Of the first and the second of what is compared."""
_DASHES: Final = (None, "5 3")
_LEFT: Final = 46.0
_RIGHT: Final = 12.0
_TOP: Final = 26.0
_BOTTOM: Final = 24.0
_HEIGHT: Final = 190.0
_ROW: Final = 40.0
_DOTS: Final = 30


@dataclass(frozen=True, slots=True)
class Course:
    """How a share went: what of, and (Unix time in s, share of 1) in order of time."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Whisker:
    """A share with the range that it is in: what of, `count` of `total`, and the range's ends (0 to 1)."""

    name: str
    count: int
    total: int
    low: float
    high: float


def courses(lines: Sequence[Course], begin: float, end: float, what: str, width: float) -> Markup:
    """Draws up to two shares over the time from `begin` to `end`, Unix times in s; the axis begins at nothing."""
    top = highest([share for one in lines for _, share in one.points])
    room, base = width - _LEFT - _RIGHT, _HEIGHT - _BOTTOM
    drawn = []
    for tick in range(3):
        y = base - (base - _TOP) * tick / 2
        drawn.append(line(_LEFT, y, width - _RIGHT, y, {"class": "axis"}))
        drawn.append(text(_LEFT - 6, y + 4, units.share(top * tick / 2), {"text-anchor": "end", "class": "quiet"}))
    for at, anchor in ((begin, "start"), (end, "end")):
        x = _LEFT if at == begin else width - _RIGHT
        drawn.append(text(x, _HEIGHT - 6, _clock(at, end - begin), {"text-anchor": anchor, "class": "quiet"}))
    span = max(end - begin, 1e-9)
    for index, one in enumerate(lines[: len(COLOURS)]):
        places = [
            (_LEFT + room * within((at - begin) / span), base - (base - _TOP) * within(share / top))
            for at, share in one.points
            if math.isfinite(share)
        ]
        drawn.append(_course(places, index))
    return svg(width, _HEIGHT, _said(lines, what), _legend(lines, width), *drawn, name="shares")


def whiskers(found: Sequence[Whisker], what: str, width: float) -> Markup:
    """Draws shares one below the other: a dot at what was seen, a line where it lies with 95 % confidence."""
    top = highest([one.high for one in found if one.total])
    room = max(1.0, width - 2 * _RIGHT)
    rows = [_whisker(one, index, top, room) for index, one in enumerate(found)]
    base = len(found) * _ROW + 4
    axis = (
        []
        if not any(one.total for one in found)
        else [
            line(_RIGHT, base, _RIGHT + room, base, {"class": "axis"}),
            text(_RIGHT, base + 15, "0 %", {"class": "quiet"}),
            text(_RIGHT + room, base + 15, units.share(top), {"text-anchor": "end", "class": "quiet"}),
        ]
    )
    said = "; ".join(_counted(one) for one in found)
    return svg(width, base + 20, f"{what}: {said or 'nothing'}", *axis, *rows, name="whiskers")


def highest(shares: Sequence[float]) -> float:
    """Where an axis of shares ends: at a round share that all fit below, at most 1."""
    most = max((share for share in shares if math.isfinite(share)), default=0.0)
    return next((end for end in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if most <= end), 1.0)


def _course(places: Sequence[tuple[float, float]], index: int) -> Markup:
    look = {"fill": "none", "stroke": COLOURS[index], "stroke-width": "2", "stroke-dasharray": _DASHES[index]}
    path = "".join(f"{'L' if at else 'M'}{number(x)} {number(y)}" for at, (x, y) in enumerate(places))
    few = places if len(places) <= _DOTS else ()  # one alone would be no line, and nothing to be seen
    dots = [tag("circle", {"cx": number(x), "cy": number(y), "r": 2, "fill": COLOURS[index]}) for x, y in few]
    return join(tag("path", {"d": path, **look}) if path else None, *dots)


def _legend(lines: Sequence[Course], width: float) -> Markup:
    x, drawn = _LEFT, []
    for index, one in enumerate(lines[: len(COLOURS)]):
        name = fit(one.name, (width - _LEFT) / 2 - 34)
        look = {"stroke": COLOURS[index], "stroke-width": "3", "stroke-dasharray": _DASHES[index]}
        drawn += [line(x, 9, x + 20, 9, look), text(x + 26, 13, name)]
        x += extent(name) + 44
    return join(*drawn)


def _whisker(one: Whisker, index: int, top: float, room: float) -> Markup:
    y, colour = index * _ROW, COLOURS[index % len(COLOURS)]
    words = text(_RIGHT, y + 13, fit(_counted(one), room))
    if not one.total:
        return words
    low, high = (_RIGHT + room * within(end / top) for end in (one.low, one.high))
    seen = _RIGHT + room * within(one.count / one.total / top)
    middle = y + 26
    return join(
        words,
        rect(low, middle - 3, max(2.0, high - low), 6, {"rx": 3, "fill": colour, "fill-opacity": "0.35"}),
        tag("circle", {"cx": number(seen), "cy": number(middle), "r": 5, "fill": colour}),
    )


def _counted(one: Whisker) -> str:
    if not one.total:
        return f"{one.name}: none"
    return f"{one.name}: {one.count:,} of {one.total:,}, {100 * one.low:.2f} to {100 * one.high:.2f} %"


def _said(lines: Sequence[Course], what: str) -> str:
    told = [f"{one.name}: {len(one.points)} points" for one in lines]
    for index, one in enumerate(lines):
        if one.points:
            told[index] = f"{one.name} from {units.share(one.points[0][1])} to {units.share(one.points[-1][1])}"
    return f"{what}: {'; '.join(told) or 'nothing'}"


def _clock(at: float, span: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return moment.strftime("%m-%d %H:%M UTC" if span > 86_000 else "%H:%M UTC")
