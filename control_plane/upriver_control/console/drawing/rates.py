"""A region's course: which share of what it was asked went up, against how many lessons it had, on one axis of time."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from upriver_control.console import units
from upriver_control.console.drawing.fitting import extent, fit, within
from upriver_control.console.drawing.svg import Markup, join, line, number, rect, svg, tag, text

HEIGHT: Final = 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 48.0, 22.0, 24.0
"""Pixels of a letter, a little more than the average."""
_MARKS: Final = 40
_DOTS: Final = 200
_TICKS_S: Final = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)


@dataclass(frozen=True, slots=True)
class Step:
    """What was counted in one step of time that began at a Unix time: rows, those that went up, lessons at its end."""

    at: float
    rows: int
    escalated: int
    lessons: int

    @property
    def share(self) -> float:
        """The share that went up; NaN where nothing was asked."""
        return self.escalated / self.rows if self.rows > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened in the region, at a Unix time, in a few words."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Course:
    """A region's steps in the order of time, and what happened there."""

    region: str
    steps: Sequence[Step]
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True)
class Axes:
    """What axes reach: Unix times, a step's length in seconds, a share of 1, lessons. The same for all regions."""

    begin: float
    end: float
    step_s: float
    share: float
    lessons: int


def axes_of(courses: Iterable[Course], begin: float, end: float, step_s: float) -> Axes:
    """Axes that all courses fit into, each ending at a round number.

    Where counting has begun not long ago, time begins shortly before that: the last sixth of it is shown at least.
    """
    steps = [step for course in courses for step in course.steps]
    first = min((step.at for step in steps), default=begin)
    begin = max(begin, min(first - step_s, end - (end - begin) / 6))
    most = max((step.share for step in steps if step.rows > 0), default=0.0)
    share = next((top for top in (0.05, 0.1, 0.2, 0.5) if most <= top), 1.0)
    return Axes(begin, end, step_s, share, _round_up(max((step.lessons for step in steps), default=0)))


def draw(course: Course, axes: Axes, width: float) -> Markup:
    """Draws one region."""
    return svg(
        width,
        HEIGHT,
        summary(course),
        _grid(axes, width),
        _lessons(course, axes, width),
        _marks(course, axes, width),
        _shares(course, axes, width),
        name="rates",
    )


def summary(course: Course) -> str:
    """The picture in a sentence, for who does not see it."""
    asked = [step for step in course.steps if step.rows > 0]
    name = course.region or "no region"
    if not asked:
        return f"{name}: nothing was asked"
    first, last = asked[0], asked[-1]
    lessons = f"lessons {units.count(course.steps[0].lessons)} to {units.count(course.steps[-1].lessons)}"
    marks = f"; {len(course.marks)} promotions" if course.marks else ""
    return f"{name}: escalated {units.share(first.share)} at first, {units.share(last.share)} at last; {lessons}{marks}"


def _grid(axes: Axes, width: float) -> Markup:
    base, right = HEIGHT - _BOTTOM, width - _RIGHT
    drawn = []
    for part in range(3):
        y = base - (base - _TOP) * part / 2
        drawn += [
            line(_LEFT, y, right, y, {"class": "axis"}),
            text(_LEFT - 6, y + 4, units.share(axes.share * part / 2), {"text-anchor": "end", "class": "quiet"}),
        ]
        if axes.lessons:
            drawn.append(text(right + 6, y + 4, units.count(axes.lessons * part / 2), {"class": "quiet"}))
    for at, words in _ticks(axes, right - _LEFT):
        x = _x(at, axes, width)
        drawn += [
            line(x, base, x, base + 4, {"class": "axis"}),
            text(x, HEIGHT - 6, words, {"text-anchor": "middle", "class": "quiet"}),
        ]
    return join(*drawn)


def _lessons(course: Course, axes: Axes, width: float) -> Markup:
    """An area of steps: the level from the end of one step to the end of the next."""
    if not axes.lessons or not course.steps:
        return Markup()
    base = HEIGHT - _BOTTOM
    path, level = [f"M{_x(course.steps[0].at + axes.step_s, axes, width):.1f} {base:.1f}"], None
    for step in course.steps:
        if step.lessons != level:  # a level that stays is one line
            x, y = _x(step.at + axes.step_s, axes, width), _y(step.lessons / axes.lessons)
            path.append(f"H{x:.1f}V{y:.1f}")
            level = step.lessons
    path.append(f"H{width - _RIGHT:.1f}V{base:.1f}Z")
    return tag("path", {"d": "".join(path), "class": "rates-lessons"})


def _shares(course: Course, axes: Axes, width: float) -> Markup:
    """A line through the middle of the steps, with a gap where nothing was asked in between, and a dot at its end.

    A step between two gaps is a dot.
    """
    runs: list[list[Step]] = []
    for step in course.steps:
        if step.rows <= 0:
            continue
        if runs and 0 <= step.at - runs[-1][-1].at <= 3 * axes.step_s:
            runs[-1].append(step)
        else:
            runs.append([step])
    path, dots = [], []
    for run in runs:
        places = [(_x(step.at + axes.step_s / 2, axes, width), _y(step.share / axes.share)) for step in run]
        if len(places) > 1:
            path.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places))
        if len(places) == 1 or run is runs[-1]:
            x, y = places[-1]
            dots.append(tag("circle", {"cx": number(x), "cy": number(y), "r": 3, "class": "rates-dot"}))
    drawn = tag("path", {"d": "".join(path), "class": "rates-share"}) if path else None
    return join(drawn, *dots[-_DOTS:])


def _marks(course: Course, axes: Axes, width: float) -> Markup:
    base, free = HEIGHT - _BOTTOM, _LEFT
    drawn = []
    inside = [mark for mark in course.marks if axes.begin <= mark.at <= axes.end]
    for mark in sorted(inside, key=lambda one: one.at)[-_MARKS:]:
        x = _x(mark.at, axes, width)
        drawn.append(line(x, _TOP - 6, x, base, {"class": "rates-mark"}))
        words = fit(mark.words, 190.0)
        begin = min(x + 4, width - _RIGHT - extent(words))
        if begin >= free:
            drawn.append(text(begin, _TOP - 9, words, {"class": "quiet"}))
            free = begin + extent(words) + 8
    return join(*drawn)


def legend() -> Markup:
    """What the lines and the area mean."""
    known = (
        (line(0, 5, 22, 5, {"class": "rates-share"}), "line", "share that went up (left)"),
        (rect(0, 0, 22, 10, {"class": "rates-lessons"}), "area", "lessons at agents (right)"),
        (line(11, 0, 11, 10, {"class": "rates-mark"}), "dashed line", "what was learnt began to answer"),
    )
    shown = (tag("li", None, svg(22, 10, title, drawn), f" {words}") for drawn, title, words in known)
    return tag("ul", {"class": "rates-legend quiet"}, *shown)


def _ticks(axes: Axes, room: float) -> list[tuple[float, str]]:
    span = max(1.0, axes.end - axes.begin)
    most = max(2, min(8, int(room / 80)))
    every = next((tick for tick in _TICKS_S if span / tick <= most), span)
    shown = "%H:%M" if every < 86_400 and span <= 2 * 86_400 else "%b %d" if every >= 86_400 else "%d %H:%M"
    first = math.ceil(axes.begin / every) * every
    found = [first + index * every for index in range(int((axes.end - first) / every) + 1)]
    return [(at, datetime.fromtimestamp(at, UTC).strftime(shown)) for at in found]


def _x(at: float, axes: Axes, width: float) -> float:
    return _LEFT + (width - _LEFT - _RIGHT) * within((at - axes.begin) / max(1e-9, axes.end - axes.begin))


def _y(share: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * within(share)


def _round_up(most: int) -> int:
    """The next number of the kind 2, 4, 10, 20, 40, 100; 0 for none."""
    if most <= 0:
        return 0
    size: int = 10 ** (len(str(most)) - 1)
    return next((size * part for part in (1, 2, 4) if most <= size * part and size * part > 1), 10 * size)
