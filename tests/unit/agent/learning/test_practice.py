"""What lessons say of a candidate by leaving each out in turn, and when an attempt is worth it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from upriver.head_fit import fit, joined
from upriver.head_statistics import HeadStatistics, nothing
from upriver.promises import Promise
from upriver_agent.learning.practice import (
    GROUPS,
    Practised,
    Progress,
    practise,
    prospect,
    rising_share,
    worth_practising,
)
from upriver_agent.learning.sums import LessonSums

PROMISE = Promise(0.02, 0.05)
FIRST = Progress(lessons=200, held_out=300, lessons_then=0, held_out_then=0, attempts=0, rising=0.5)


def sums_of(embeddings: np.ndarray, labels: np.ndarray, names: str) -> tuple[HeadStatistics, np.ndarray]:
    sums, targets = nothing(embeddings.shape[1], tuple(names)), np.eye(len(names))[labels]
    for embedding, target in zip(embeddings, targets, strict=True):
        sums.add(embedding, target)
    return sums, targets


@pytest.mark.parametrize("memory", [0.0, 50.0])
def test_a_lesson_is_answered_by_a_head_that_never_saw_it(memory: float) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    embeddings = (np.eye(3, 6)[labels] * 3 + rng.normal(size=(300, 6))).astype(np.float16)

    def learnt(numbers: np.ndarray) -> LessonSums:
        sums = LessonSums(6, ("a", "b", "c"), memory)
        for number in numbers.tolist():
            sums.add(number + 1, embeddings[number], "abc"[labels[number]], {})
        return sums

    sums = learnt(np.arange(300))
    prior = nothing(6, ("a", "b", "c"))
    aged = np.array([sums.weight(number + 1) for number in range(300)])
    found = practise(prior, sums.statistics(), embeddings, np.eye(3)[labels], aged)
    for group in range(GROUPS):
        held = np.arange(300) % GROUPS == group
        without = learnt(np.flatnonzero(~held))
        rest = without.statistics()
        rest.fade(1.0 if not memory else math.exp((without.newest - sums.newest) / memory))
        weights = fit(joined(prior, rest))
        z = (embeddings[held].astype(float) @ weights[:-1] + weights[-1]) / found.temperature
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        assert p.max(axis=1) == pytest.approx(found.confidence[held], rel=1e-6)
        assert ((z.argmax(axis=1) == labels[held]) == found.right[held]).all()
    assert found.right.mean() > 0.8


def test_lessons_without_any_sense_are_seen_through() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 400)
    embeddings = rng.normal(size=(400, 16)).astype(np.float16)
    sums, targets = sums_of(embeddings, labels, "abcd")
    found = practise(nothing(16, tuple("abcd")), sums, embeddings, targets, np.ones(400))
    assert found.right.mean() < 0.4
    assert prospect(found, FIRST, PROMISE).why


def test_no_lessons_can_be_practised_too() -> None:
    found = practise(nothing(4, ("a",)), nothing(4, ("a",)), np.zeros((0, 4), np.float16), np.zeros((0, 1)), np.ones(0))
    assert len(found.right) == 0
    assert prospect(found, FIRST, PROMISE).why


def test_a_first_attempt_waits_for_lessons_and_for_questions_held_out() -> None:
    assert worth_practising(FIRST, PROMISE) == ""
    assert "19 lessons: expected at least 20" in worth_practising(replace(FIRST, lessons=19), PROMISE)
    assert "at least 173 are needed" in worth_practising(replace(FIRST, held_out=172), PROMISE)


def test_the_next_attempt_waits_until_lessons_or_the_holdout_have_grown() -> None:
    after = replace(FIRST, attempts=1, lessons_then=200, held_out_then=300)
    assert "when either has grown" in worth_practising(after, PROMISE)
    assert worth_practising(replace(after, lessons=300), PROMISE) == ""
    assert worth_practising(replace(after, held_out=450), PROMISE) == ""
    assert worth_practising(replace(after, held_out=400, held_out_then=700), PROMISE) == "", "it has begun anew"


def test_later_attempts_need_more_questions_for_the_same_promise() -> None:
    tenth = replace(FIRST, attempts=9, lessons_then=10, held_out_then=10, held_out=300)
    assert "at least 401 are needed" in worth_practising(tenth, PROMISE)


def practised(sure: int, wrong: int, unsure: int) -> Practised:
    confidence = np.concatenate([np.full(sure + wrong, 0.99), np.full(unsure, 0.4)])
    return Practised(
        1.0, confidence, np.concatenate([np.ones(sure, bool), np.zeros(wrong, bool), np.ones(unsure, bool)])
    )


def test_an_attempt_is_worth_it_when_much_of_what_goes_up_would_be_answered() -> None:
    found = prospect(practised(150, 0, 50), FIRST, PROMISE)
    assert (found.why, found.gain) == ("", 1.0)


def test_it_is_not_when_the_lessons_foretell_too_many_losses() -> None:
    certain = Practised(1.0, np.ones(200), np.arange(200) < 100)
    assert "lose more than can be proven" in prospect(certain, FIRST, PROMISE).why
    assert "0% of what goes up now" in prospect(practised(100, 100, 0), FIRST, PROMISE).why


def test_it_is_not_when_too_little_would_be_gained_to_show() -> None:
    unsure = Practised(1.0, np.full(200, 1.0 - 1e-12), np.arange(200) < 199)
    assert (
        "too little to show"
        in prospect(replace(unsure, confidence=np.where(unsure.right, 0.0, 0.5)), FIRST, PROMISE).why
    )
    assert "too little to show" in prospect(practised(150, 0, 50), replace(FIRST, rising=0.01), PROMISE).why


def test_how_many_questions_go_up_is_told_by_how_many_lessons_they_make() -> None:
    assert rising_share(lessons=400, asked=500.0, holdout=0.2) == 1.0
    assert rising_share(lessons=200, asked=500.0, holdout=0.2) == 0.5
    assert rising_share(lessons=4000, asked=500.0, holdout=0.2) == 1.0
    assert rising_share(lessons=5, asked=0.0, holdout=0.2) == 1.0
