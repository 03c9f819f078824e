"""What courses of the learning loop come to: rates, half-lives, losses. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.learning_loop import Course, Seen
from demo.streams import Stream

EARLY: Final = 3_000


@dataclass(frozen=True, slots=True)
class Figures:
    """One region and seed. Rates are shares of questions.

    `start` and `total` are what the static mesh and the learning one escalate of all questions, `after_3000` what the
    learning one escalates from question 3,000 on, and `last` of the last quarter. `half_life` is how many lessons there
    were when a pair came to answer that escalates at most half of what the static one does; None: never.
    `old_loss_pp` is by how many points of accuracy it is worse at the digits that the device knew, over the last half.
    """

    start: float
    total: float
    after_3000: float
    last: float
    half_life: int | None
    lessons: int
    audits: int
    attempts: int
    promotions: int
    uncertified: int
    above: int
    """Promotions of pairs that truly lose more than was promised, certified or not."""
    loss: float
    old_loss_pp: float

    @property
    def reduction(self) -> float:
        """By what share fewer questions are escalated than by the static mesh."""
        return 1.0 - self.total / self.start if self.start else 0.0


def figures(seen: Seen, stream: Stream, static: Course, course: Course, known: int, epsilon: float) -> Figures:
    """Holds a course against the static mesh's on the same questions."""
    start = float(static.escalated.mean())
    truth, top = seen.truth[stream.asked], seen.top[stream.asked]
    late = np.arange(len(truth)) >= len(truth) // 2
    old = late & (truth < known)
    static_right, right = (float((one.labels == truth)[old].mean()) for one in (static, course))
    return Figures(
        start,
        float(course.escalated.mean()),
        float(course.escalated[min(EARLY, len(truth) // 2) :].mean()),
        float(course.escalated[-len(truth) // 4 :].mean()),
        half_life(course, start),
        int(course.lessons.sum()),
        course.audits,
        course.attempts,
        len(course.promotions),
        sum(not one.certified for one in course.promotions),
        sum(one.loses > epsilon for one in course.promotions),
        float((course.labels != top).mean()),
        100.0 * (static_right - right),
    )


def half_life(course: Course, start: float) -> int | None:
    """Lessons when a pair was promoted that escalates at most half of `start`, of the questions still to come."""
    return next((one.lessons for one in course.promotions if one.escalates <= start / 2), None)


def mean(figures: Sequence[Figures], name: str) -> float:
    """The mean of a figure over runs; a half-life that was never reached counts as all of that run's lessons."""
    values = [getattr(one, name) for one in figures]
    return float(np.mean([one.lessons if value is None else value for one, value in zip(figures, values, strict=True)]))
