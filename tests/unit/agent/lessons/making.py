"""Lessons, books and what hears of them for the tests of lessons."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from upriver_agent.journal import Journal
from upriver_agent.lessons.book import BookOptions, LessonBook
from upriver_agent.lessons.lesson import Lesson, content_of
from upriver_agent.lessons.table import FILE, STATEMENTS

WAIT_S = 60
DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


def lesson(number=0, label="7", teacher="cloud-1", embedding=None, version=DIGEST, **changes):
    """A lesson; those with other numbers have other embeddings unless they are given."""
    vector = np.array([number, 1.0, -2.0] if embedding is None else embedding, np.float16)
    made = Lesson(
        question=f"q-{number:016x}-{number:016x}",
        row=0,
        model="digits",
        version_digest=version,
        embedding=vector,
        student_label="1",
        student_confidence=0.4,
        known=0.25,
        label=label,
        probabilities={label: 0.9},
        teacher=teacher,
        teacher_tier="cloud",
        policy="sha256:up",
        teacher_confidence=0.99,
        trace_id="ab" * 16,
        span_id="cd" * 8,
        at=1000.0 + number,
        draw=0.5,
        content=content_of(version, vector),
        source="ipv4:10.0.0.1",
    )
    return replace(made, **changes)


class Sums:
    """A subscriber that adds up as a head's statistics do."""

    def __init__(self, book, version=DIGEST):
        self.book, self.version = book, version
        self.renewals = 0
        self.gone = []
        with book.still():
            book.subscribe(self)
            self.begin()

    def begin(self):
        self.ids = {}
        self.sum = np.zeros(3)
        with self.book.still():
            for one in self.book.all_of("digits", self.version):
                self.added(one)

    def added(self, one):
        if one.version_digest == self.version:
            assert one.id not in self.ids
            self.ids[one.id] = one.label
            self.sum += one.embedding.astype(np.float64)

    def removed(self, lessons):
        for one in lessons:
            if one.version_digest == self.version:
                assert self.ids.pop(one.id) == one.label
                self.sum -= one.embedding.astype(np.float64)

    def must_go(self, lessons):
        self.gone += [one.id for one in lessons]

    def renewed(self):
        self.renewals += 1
        self.begin()


OPTIONS = BookOptions(max_bytes=1 << 24, max_age_s=3600.0, quorum=2, teacher_error=0.03)


@contextmanager
def opened(folder, clock=lambda: 2000.0, more=(), **options):
    """A book whose clock the test holds, with further tables in its file; closed at the end."""
    journal = Journal(folder / FILE, [(*STATEMENTS, *more)], durable=False, retry_s=0.0)
    journal.start()
    book = LessonBook(journal, replace(OPTIONS, **options), clock, clock)
    book.attend("digits", DIGEST)
    try:
        yield book
    finally:
        assert journal.close(WAIT_S)
