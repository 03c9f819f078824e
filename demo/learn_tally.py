"""What one region's questions came to while its devices learnt, and the curve of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

WINDOW: Final = 300
"""Questions over which rates are taken."""
_BARS: Final = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Point:
    """After so many `questions` and `lessons`: the shares of the last WINDOW questions that went up and were right."""

    questions: int
    lessons: int
    escalation: float
    accuracy: float


@dataclass
class RegionTally:
    """One region. `lessons` are those of all its devices; `points` come one with every look."""

    region: str
    escalated: list[bool] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    old: list[bool] = field(default_factory=list)
    failed: int = 0
    lessons: int = 0
    points: list[Point] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    """What went up at the end of each part of the run, by what it was."""

    def add(self, escalated: bool, right: bool, old: bool) -> None:
        """Counts an answer; `old` are questions about what devices knew from the start."""
        self.right.append(right)
        self.old.append(old)
        self.escalated.append(escalated)

    def look(self, lessons: int) -> None:
        """Adds a point to the curve, with the lessons that there are now."""
        self.lessons = max(lessons, self.lessons)
        count = len(self.escalated)
        if count >= WINDOW and (not self.points or self.points[-1].questions < count):
            escalation, accuracy = self.rate(count), share(self.right[count - WINDOW : count])
            self.points.append(Point(count, self.lessons, escalation, accuracy))

    def rate(self, count: int | None = None) -> float:
        """The share of the last WINDOW questions, of the first `count`, that went up."""
        end = len(self.escalated) if count is None else count
        return share(self.escalated[max(0, end - WINDOW) : end])

    def mark(self, what: str) -> None:
        """Ends a part of the run."""
        self.marks[what] = self.rate()

    @property
    def start(self) -> float:
        """What goes up before anything is learnt: over the first WINDOW questions."""
        return share(self.escalated[:WINDOW])

    @property
    def half_life(self) -> int | None:
        """How many lessons there were when half as much went up as at the start; None when that never was."""
        return next((point.lessons for point in self.points if point.escalation <= self.start / 2), None)

    def old_accuracy(self, late: bool) -> float:
        """The share of right answers to what devices knew, in the first or the second half of all questions."""
        half = len(self.right) // 2
        part = slice(half, len(self.right)) if late else slice(0, half)
        return share([right for right, old in zip(self.right[part], self.old[part], strict=True) if old])


def share(flags: Sequence[bool]) -> float:
    """The share of them that are set; 0 of none."""
    return sum(flags) / len(flags) if flags else 0.0


def sparkline(points: Sequence[Point], width: int = 60) -> str:
    """Escalation against lessons, a character for each of `width` steps of lessons; a full block is everything."""
    if not points:
        return ""
    most = max(1, points[-1].lessons)
    text = []
    for step in range(width):
        upto = most * step / max(1, width - 1)
        reached = [point for point in points if point.lessons <= upto] or [points[0]]
        height = min(1.0, max(0.0, reached[-1].escalation))
        text.append(_BARS[round(height * (len(_BARS) - 1))])
    return "".join(text)
