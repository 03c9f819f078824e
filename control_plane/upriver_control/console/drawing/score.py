"""A confidence against the threshold that it was held to, as a bar."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from upriver.v1 import question_pb2 as pb
from upriver_control.console import units
from upriver_control.console.drawing.svg import Markup, join, line, rect, svg, tag

HEIGHT: Final = 14
_BAR: Final = 6
_INFINITE: Final = 1e300
"""Infinity travels as the largest double."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the left and the right end of a bar stand for."""

    low: float
    high: float

    def place(self, value: float, width: float) -> float:
        """Where a value is on a bar of this width; those beyond its ends, infinite ones too, are at its ends."""
        share = (value - self.low) / (self.high - self.low)
        return width * min(1.0, max(0.0, share))


def scale_of(values: Iterable[float | None]) -> Scale:
    """One scale for bars that stand together: 0 to 1 where that shows something, else what there is of values."""
    known = [value for value in values if value is not None and math.isfinite(value) and abs(value) < _INFINITE]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low >= 0 and 0.5 < high <= 1:
        return Scale(0.0, 1.0)
    margin = 0.2 * max(abs(low), abs(high)) or 1.0
    return Scale(min(0.0, low - margin if low < 0 else 0.0), max(0.0, high + margin))


def around(threshold: float | None) -> Scale:
    """A scale for a bar that stands alone: the threshold is at two thirds, which shows how near it is."""
    if threshold is None or abs(threshold) > _INFINITE or not threshold:
        return Scale(0.0, 1.0)
    return Scale(0.0, 1.5 * threshold) if threshold > 0 else Scale(2 * threshold, 0.5 * abs(threshold))


def told_by(message: pb.Question | pb.Hop | pb.AskAgainResponse) -> tuple[float | None, float | None]:
    """The confidence and the threshold that a message tells; None for one that it does not."""
    return (
        message.score if message.HasField("score") else None,
        message.threshold if message.HasField("threshold") else None,
    )


def draw(score: float | None, threshold: float | None, scale: Scale, width: float = 96) -> Markup:
    """The bar: as far as the confidence goes, and a stroke where the threshold is."""
    if score is None:
        return tag("span", {"class": "quiet"}, units.NONE)
    enough = threshold is not None and score >= threshold
    tone = "quiet" if threshold is None else "good" if enough else "warn"
    top = (HEIGHT - _BAR) / 2
    parts = [
        rect(0, top, width, _BAR, {"class": "track", "rx": 3}),
        rect(0, top, scale.place(score, width), _BAR, {"class": f"score {tone}", "rx": 3}),
    ]
    if threshold is not None:
        at = min(width - 1, max(1, scale.place(threshold, width)))
        parts.append(line(at, 0, at, HEIGHT, {"class": "threshold"}))
    return svg(width, HEIGHT, told(score, threshold), *parts, name="score-bar")


def told(score: float | None, threshold: float | None) -> str:
    """The same in words."""
    if score is None:
        return "no confidence is told"
    if threshold is None or threshold > _INFINITE:
        return f"confidence {units.score(score)}; {verdict(score, threshold)}"
    confidence, held_to = units.scores(score, threshold)
    return f"confidence {confidence}, threshold {held_to}: {verdict(score, threshold)}"


def verdict(score: float | None, threshold: float | None) -> str:
    """What comes of it."""
    if score is None:
        return "it gave no answer of its own"
    if threshold is None:
        return "what it was held against is not told"
    if threshold > _INFINITE:
        return "nothing is enough"
    return "sure enough" if score >= threshold else "not sure enough"


def with_numbers(score: float | None, threshold: float | None, scale: Scale, width: float = 96) -> Markup:
    """The bar, and the two numbers with the sign that stands between them."""
    if score is None:
        return tag("span", {"class": "quiet"}, units.NONE)
    confidence, held_to = units.scores(score, threshold)
    sign = "" if threshold is None else f" {'≥' if score >= threshold else '<'} {held_to}"
    numbers = tag("span", {"class": "score-numbers", "aria-hidden": "true"}, f"{confidence}{sign}")
    return tag("span", {"class": "score-cell"}, draw(score, threshold, scale, width), join(numbers))
