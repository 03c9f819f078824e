"""Sums that are read from the journal while lessons come and go are those of the journal in the end."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.unit.agent.learning.world import LABELS, MODEL, NEW, WIDTH, World, prior
from upriver_agent.learning.course import Course
from upriver_agent.learning.sums import LessonSums
from upriver_agent.lessons.lesson import Choice, Lesson


class Follows:
    """A subscriber that hands what it is told to a course, and lets things happen while that is being read."""

    def __init__(self, course: Course) -> None:
        self.course = course

    def added(self, lesson: Lesson) -> None:
        self.course.change(True, lesson)

    def removed(self, lessons: list[Lesson]) -> None:
        for lesson in lessons:
            self.course.change(False, lesson)

    def must_go(self, lessons: list[Lesson]) -> None:
        """They were removed."""


def test_what_happens_while_the_journal_is_read_is_not_missed_and_not_counted_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    for source in "abc":
        world.lessons(20, source=source)
    course = Course(world.version.digest, prior(), LessonSums(WIDTH, LABELS))
    world.book._subscribers[:] = [Follows(course)]

    def interrupted() -> Iterator[Lesson]:
        """Pages of ten; between them lessons of before, of now and of later are forgotten, and new ones come."""
        after = 0
        for source in ("a", "b", "c", "late", ""):
            page = world.book.page(Choice(model=MODEL), after, 12)
            yield from page
            after = page[-1].seq if page else after
            if source:
                world.book.forget(Choice(source=source))
                world.lessons(5, source="late" if source != "late" else "kept", labels=NEW)
        while page := world.book.page(Choice(model=MODEL), after, 12):
            yield from page
            after = page[-1].seq

    course.read(interrupted())
    course.catch_up()
    kept = list(world.book.all_of(MODEL, world.version.digest))
    again = LessonSums(WIDTH, LABELS)
    for lesson in kept:
        again.add(lesson.seq, lesson.embedding, lesson.label, lesson.probabilities)
    assert len(course.sums) == len(kept) == 5
    assert all(course.sums.has(lesson.seq) for lesson in kept)
    assert np.abs(course.sums.statistics().outer - again.statistics().outer).max() < 1e-6
    world.close()
