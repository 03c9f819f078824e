"""The path of a calibration as what can be drawn: the share that is answered below the top, against certified loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from upriver.v1 import policy_pb2 as pb
from upriver_control.telling.policies import percent

_MARGIN: Final = 3.0
"""Losses up to so many times the target are drawn."""


@dataclass(frozen=True, slots=True)
class Point:
    """One way of answering: the share that ends below the top, and the loss that is certified, or was seen."""

    local: float
    loss: float
    certified: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn: the path, what ships (None: nothing below the top), and the loss that may be."""

    title: str
    points: tuple[Point, ...]
    shipped: Point | None
    target: float
    what: str = "certified loss"

    @property
    def left(self) -> float:
        """Where the axis of shares begins: so that the part that matters is wide."""
        near = [point.local for point in self.points if point.loss >= 0.25 * self.target]
        if self.shipped is not None:
            near.append(self.shipped.local)
        return max(0.0, min(0.9, math.floor(10 * min(near, default=0.0)) / 10 - 0.1))

    @property
    def highest(self) -> float:
        """Where the axis of losses ends."""
        return _MARGIN * self.target

    def shown(self) -> Sequence[Point]:
        """The points within both axes, each place once."""
        within = (point for point in self.points if point.local >= self.left and point.loss <= self.highest)
        return list(dict.fromkeys(within))


def drawing_of(calibration: pb.Calibration) -> Drawing:
    """The path of a calibration, to be drawn. Where labels are the standard, the loss that was seen is drawn."""
    result, spec = calibration.result, calibration.spec
    questions = max(1, result.calibrate_questions)
    points = tuple(
        Point(
            point.local_share, point.bound if math.isfinite(point.bound) else point.losses / questions, point.certified
        )
        for point in result.path
    )
    local = sum(list(result.shipped.exit_shares)[:-1])
    title = f"{calibration.name.split('/')[1]}: at most {percent(spec.max_loss)} lost, {percent(spec.confidence)} sure"
    shipped = Point(local, result.certified_loss, True) if local > 0 else None
    return Drawing(title, points, shipped, spec.max_loss, "loss seen" if spec.labels else "certified loss")
