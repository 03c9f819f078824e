from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.errors import DiskTrouble
from upriver.head_statistics import HeadStatistics, nothing, shares_of, target_of
from upriver.pool import Submission
from upriver.pool_wire import Assembly, write_submission
from upriver_agent.lessons.lesson import Choice, Lesson, Subscriber
from upriver_agent.pooling.own import Clip, OwnSums

VERSION, OTHER = (f"sha256:{digit * 64}" for digit in "ab")
OWN = ("a", "b")
"""Labels of VERSION; c and d are new to it."""


def lesson(number: int, version: str = VERSION, width: int = 3, label: str = "") -> Lesson:
    chance = np.random.default_rng(number)
    label = label or "abcd"[chance.integers(4)]
    return Lesson(
        question=f"q{number}",
        row=0,
        model="m",
        version_digest=version,
        embedding=chance.normal(size=width).astype(np.float16),
        student_label="a",
        student_confidence=0.1,
        known=0.0,
        label=label,
        probabilities={label: 0.75, "abcd"[chance.integers(4)]: 0.25},
        teacher="cloud",
        teacher_tier="cloud",
        policy="",
        teacher_confidence=0.9,
        trace_id="",
        at=0.0,
        draw=0.5,
        content=b"",
        source="",
    )


class Book:
    """A fake of the lessons' book."""

    def __init__(self, *lessons: Lesson) -> None:
        self.lessons = list(lessons)
        self.subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)

    def every(self, choice: Choice) -> Iterator[Lesson]:
        for at, one in enumerate(list(self.lessons)):
            self.reading(at)
            yield one

    def reading(self, at: int) -> None:
        """Called before each lesson is read."""


def central(lessons: list[Lesson], labels: tuple[str, ...], width: int = 3) -> HeadStatistics:
    sums = nothing(width, labels)
    for one in lessons:
        sums.add(one.embedding, target_of(labels, shares_of(one.label, one.probabilities, OWN)))
    return sums


def labels_of(model: str, version_digest: str) -> tuple[str, ...]:
    return OWN if version_digest == VERSION else ()


def following(book: Book, must_go: Mapping[tuple[str, str, int], int] | None = None, clip: float = 0.0) -> OwnSums:
    own = OwnSums(Clip(clip), labels_of=labels_of)
    own.follow(book, must_go or {})
    own.catch_up(book)
    return own


def only(own: OwnSums) -> HeadStatistics:
    (part,) = own.parts("north")
    assert isinstance(part.sums, HeadStatistics)
    return part.sums


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(12)), st.sets(st.integers(0, 11), max_size=11), st.integers(1, 5))
def test_what_is_left_after_forgetting_is_what_one_would_have_that_never_saw_it(
    order: list[int], gone: set[int], ask_every: int
) -> None:
    own = following(Book())
    for at, number in enumerate(order):
        own.added(lesson(number))
        if at % ask_every == 0:
            own.parts("north")
    own.removed([lesson(number) for number in gone])
    own.must_go([lesson(number) for number in gone])
    left = [lesson(number) for number in range(12) if number not in gone]
    found = only(own)
    spoken = {label for one in left for label in shares_of(one.label, one.probabilities, OWN)}
    assert found.labels == tuple(sorted(spoken))
    whole = central(left, found.labels)
    np.testing.assert_allclose(found.outer, whole.outer, atol=1e-9)
    np.testing.assert_allclose(found.toward, whole.toward, atol=1e-9)


def test_sums_begin_from_what_is_kept_and_again_when_that_is_another() -> None:
    book = Book(lesson(1), lesson(2))
    own = following(book)
    assert only(own).lessons == 2.0
    (subscriber,) = book.subscribers
    subscriber.added(lesson(3))
    assert only(own).lessons == 3.0
    before = own.marks()
    book.lessons = [lesson(4)]
    subscriber.renewed()
    own.catch_up(book)
    assert only(own).lessons == 1.0
    assert own.marks() > before


def test_versions_and_widths_have_sums_of_their_own_and_go_with_their_last_lesson() -> None:
    own = following(Book(lesson(1), lesson(2, OTHER), lesson(3, OTHER, width=5)))
    assert [(part.key.version_digest, part.key.width, part.agents) for part in own.parts("north")] == [
        (VERSION, 3, 1),
        (OTHER, 3, 1),
        (OTHER, 5, 1),
    ]
    own.removed([lesson(2, OTHER), lesson(1)])
    assert [part.key.width for part in own.parts("north")] == [5]


def test_a_version_that_comes_to_answer_here_changes_nothing_of_what_was_taken_in_before() -> None:
    answers: dict[str, tuple[str, ...]] = {}
    own = OwnSums(labels_of=lambda model, version_digest: answers.get(version_digest, ()))
    own.follow(Book(lesson(1), lesson(2)), {})
    own.catch_up(Book(lesson(1), lesson(2)))
    assert only(own).toward[-1].tolist() == only(own).toward[-1].round().tolist(), "no shares in passing"
    answers[VERSION] = OWN
    own.added(lesson(3))
    own.removed([lesson(1), lesson(2), lesson(3)])
    assert own.parts("north") == []
    own.added(lesson(1))
    found = only(own)
    np.testing.assert_allclose(found.toward, central([lesson(1)], found.labels).toward, atol=1e-12)


def test_of_a_version_whose_lessons_were_all_forgotten_that_is_told() -> None:
    own = following(Book(lesson(1), lesson(2)))
    own.removed([lesson(1), lesson(2)])
    own.must_go([lesson(1), lesson(2)])
    (part,) = own.parts("north")
    assert (part.sums.lessons, part.sums.labels, part.forgotten) == (0.0, (), 2)
    assembly = Assembly("parent")
    for message in write_submission(Submission("me", {"me": 1}, (part,))):
        assembly.take(message)
    (received,) = assembly.whole().content
    assert (received.key, received.forgotten) == (part.key, 2)


def test_one_lesson_adds_no_more_than_its_clipped_norm() -> None:
    long = lesson(1)
    own = following(Book(long), clip=0.5)
    sums = only(own)
    np.testing.assert_allclose(np.sqrt(np.diag(sums.outer)[:-1].sum()), 0.5, rtol=1e-6)
    assert sums.lessons == 1.0


def test_what_must_be_forgotten_is_told_soon_and_counted_and_what_goes_for_other_reasons_is_not() -> None:
    urgent: list[int] = []
    own = OwnSums(urgent=lambda: urgent.append(1))
    book = Book(*(lesson(number) for number in range(5)))
    own.follow(book, {("m", VERSION, 3): 7, ("m", OTHER, 3): 100})
    own.catch_up(book)
    own.removed([lesson(0)])
    assert urgent == []
    own.removed([lesson(1)])
    own.must_go([lesson(1)])
    own.removed([lesson(2)])
    own.must_go([lesson(2)])
    assert len(urgent) == 2
    assert {part.key.version_digest: part.forgotten for part in own.parts("north")} == {VERSION: 9, OTHER: 100}


def test_how_many_had_to_go_is_told_after_a_restart_too_and_of_versions_that_are_empty_by_then() -> None:
    (part,) = following(Book(), {("m", VERSION, 3): 1}).parts("north")
    assert (part.key.width, part.sums.lessons, part.sums.labels, part.forgotten) == (3, 0.0, (), 1)
    gone = {("m", f"sha256:{digit * 64}", 3): 1 for digit in "0123456789"}
    found = following(Book(lesson(1)), gone | {("m", VERSION, 3): 5}).parts("north")
    assert [(part.key.version_digest[-1], part.forgotten) for part in found] == [
        ("6", 1), ("7", 1), ("8", 1), ("9", 1), ("a", 5),
    ]  # fmt: skip


def test_lessons_that_come_and_go_while_the_journal_is_read_count_once() -> None:
    lessons = [replace(lesson(number), seq=number + 1) for number in range(8)]

    class Busy(Book):
        def reading(self, at: int) -> None:
            own = self.subscribers[0]
            match at:
                case 1:
                    own.added(lessons[2])  # it will be read as well
                    own.added(lessons[6])  # it will not
                case 3:
                    own.removed([lessons[0]])  # it was read
                    own.removed([lessons[7]])  # it never was
                    own.removed([lessons[6]])
                    own.added(lessons[5])
                    own.removed([lessons[5]])

    own = following(Busy(*lessons[:5]))
    found = only(own)
    whole = central(lessons[1:5], found.labels)
    np.testing.assert_allclose(found.outer, whole.outer, atol=1e-9)
    np.testing.assert_allclose(found.toward, whole.toward, atol=1e-9)


def test_a_journal_that_could_not_be_read_to_its_end_is_read_again() -> None:
    class Broken(Book):
        fails = True

        def reading(self, at: int) -> None:
            if at == 1 and self.fails:
                raise DiskTrouble("it can't be read")

    book, own = Broken(lesson(1), lesson(2)), OwnSums()
    own.follow(book, {})
    with pytest.raises(DiskTrouble):
        own.catch_up(book)
    book.fails = False
    own.catch_up(book)
    assert only(own).lessons == 2.0
    assert book.subscribers == [own]
