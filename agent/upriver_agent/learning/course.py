"""What is learnt of one version: its prior and the sums over its lessons, in step with the journal."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from upriver.head_statistics import HeadStatistics
from upriver_agent.learning.sums import LessonSums
from upriver_agent.lessons.lesson import Lesson

Change = tuple[bool, Lesson]
"""Whether a lesson came, and which."""


@dataclass(slots=True)
class Course:
    """One version's. `why` says what the next attempt waits for, or why the last one failed; `found` is why when that
    came of practising or of an attempt.

    `practised` has how many lessons and questions held out there were when lessons were last practised. Changes that
    are told while the journal is still being read are kept in `told`; None once it was.
    """

    version: str
    prior: HeadStatistics
    sums: LessonSums
    why: str = ""
    found: str = ""
    practised: tuple[int, int] = (0, 0)
    told: list[Change] | None = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether the sums are those of the journal; if they were and are no more, another course has to begin."""
        return self.told is None and not self.sums.stale

    def change(self, came: bool, lesson: Lesson) -> None:
        """Takes in that a lesson counts from now on, or does not any more."""
        if self.told is not None:
            self.told.append((came, lesson))
        else:
            self._apply(came, lesson)

    def read(self, lessons: Iterable[Lesson]) -> None:
        """Counts what the journal had, while changes may be told on another thread."""
        for lesson in lessons:
            self._apply(True, lesson)

    def catch_up(self) -> None:
        """Takes in what was told meanwhile: of each lesson the last word counts, whatever was read of it."""
        for came, lesson in self.told or ():
            self._apply(came, lesson)
        self.told = None

    def _apply(self, came: bool, lesson: Lesson) -> None:
        change = self.sums.add if came else self.sums.remove
        change(lesson.seq, lesson.embedding, lesson.label, lesson.probabilities)
