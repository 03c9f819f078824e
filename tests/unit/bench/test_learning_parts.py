"""The pure parts of the learning benchmark, on digits that are points around corners."""

from dataclasses import replace

import numpy as np
import pytest

from bench.learning_figures import figures, half_life, mean
from bench.learning_loop import Seen, Settings, run, static_pair
from bench.learning_sums import Sample, agreement, forget_error, learnt, merge_error, updates
from demo.streams import KNOWN, streams
from upriver.head_statistics import HeadStatistics

LABELS = tuple("0123456789")
WIDTH = 24


@pytest.fixture(scope="module")
def seen():
    """20,000 digits in a space where they lie well apart; the device knows the first five, the top knows all."""
    chance = np.random.default_rng(3)
    truth = chance.integers(0, 10, 20_000)
    corners = chance.normal(0.0, 2.0, (10, WIDTH))
    embedding = (corners[truth] + chance.normal(0.0, 1.0, (len(truth), WIDTH))).astype(np.float16)
    near = -((embedding.astype(float)[:, np.newaxis] - corners[:KNOWN]) ** 2).sum(axis=2)
    own = np.exp(near - near.max(axis=1, keepdims=True))
    return Seen(embedding, own / own.sum(axis=1, keepdims=True), np.eye(10)[truth] * 0.9 + 0.01, truth)


@pytest.fixture(scope="module")
def begin(seen):
    rows = np.flatnonzero(seen.truth[:4000] < KNOWN)
    h = np.hstack([seen.embedding[rows].astype(float), np.ones((len(rows), 1))])
    return HeadStatistics(LABELS, h.T @ h, h.T @ np.eye(10)[seen.truth[rows]])


@pytest.fixture(scope="module")
def courses(seen, begin):
    stream = streams(seen.truth, (5, 6, 7), 6000, 0, shown=4000)
    settings = Settings()
    pair = static_pair(seen, stream, settings)
    ways = {
        "static": replace(settings, holdout=1.0, wanted=0),
        "gated": settings,
        "free": replace(settings, gated=False),
    }
    return stream, {name: run(seen, stream, begin, pair, way, 0) for name, way in ways.items()}


def test_a_region_asks_half_about_what_is_new_and_nothing_that_the_device_was_trained_on(seen):
    stream = streams(seen.truth, (5, 6, 7), 6000, 0, shown=4000)
    both = np.concatenate([stream.asked, stream.aside])
    assert len(set(both.tolist())) == len(both)
    assert set(np.unique(seen.truth[both])) == {0, 1, 2, 3, 4, 5, 6, 7}
    assert both[seen.truth[both] < KNOWN].min() >= 4000
    assert (seen.truth[stream.asked] < KNOWN).mean() == pytest.approx(0.5)


def test_more_questions_than_digits_are_refused(seen):
    with pytest.raises(ValueError, match="at most"):
        streams(seen.truth, (5, 6, 7), 20_000, 0, shown=4000)


def test_who_does_not_learn_escalates_as_its_certified_threshold_has_it(courses):
    _, runs = courses
    assert runs["static"].escalated.mean() > 0.3
    assert not runs["static"].promotions
    assert not runs["static"].audits


def test_who_learns_escalates_far_less_and_every_promotion_is_certified(seen, courses):
    stream, runs = courses
    found = figures(seen, stream, runs["static"], runs["gated"], KNOWN, Settings().epsilon)
    assert found.reduction > 0.6
    assert found.uncertified == found.above == 0
    assert found.promotions >= 1
    assert found.half_life is not None
    assert found.half_life <= found.lessons
    assert found.loss <= Settings().epsilon
    assert found.audits <= Settings().wanted


def test_without_the_gate_promotions_have_no_certificate(seen, courses):
    stream, runs = courses
    found = figures(seen, stream, runs["static"], runs["free"], KNOWN, Settings().epsilon)
    assert found.uncertified == found.promotions >= 1


def test_a_seed_gives_the_same_course(seen, begin, courses):
    stream, runs = courses
    again = run(seen, stream, begin, static_pair(seen, stream, Settings()), Settings(), 0)
    np.testing.assert_array_equal(again.escalated, runs["gated"].escalated)


def test_what_is_held_out_is_never_a_lesson(courses):
    _, runs = courses
    course = runs["gated"]
    assert course.learnt is not None
    assert course.learnt.lessons == pytest.approx(course.lessons.sum())
    assert course.lessons.sum() < 0.7 * course.escalated.sum()  # two of five are held out


def test_the_half_life_is_the_lessons_of_the_promotion_that_halves_what_goes_up(courses):
    _, runs = courses
    course = runs["gated"]
    first = course.promotions[0]
    assert half_life(course, 2.0 * first.escalates) == first.lessons
    assert half_life(runs["static"], 1.0) is None


def test_a_half_life_that_was_never_reached_counts_as_all_lessons(seen, courses):
    stream, runs = courses
    never = figures(seen, stream, runs["static"], runs["static"], KNOWN, 0.01)
    assert never.half_life is None
    assert mean([never], "half_life") == never.lessons


def test_merging_and_forgetting_are_exact_and_updates_small(seen, begin, courses):
    _, runs = courses
    rows = np.arange(4000, 4600)
    sample = Sample(LABELS, KNOWN, seen.embedding[rows], seen.told[rows])
    assert merge_error(sample, begin, 1) < 1e-9
    assert forget_error(sample, begin, 0.3, 1) < 1e-9
    assert learnt(sample, sample.rows()).statistics().lessons == pytest.approx(600)
    weights = [one.pair.weights for one in runs["gated"].promotions]
    sizes, heads = updates(LABELS, weights)
    assert all(size <= 1024 for size in sizes)
    assert len(heads) == len(weights) == len(sizes) + 1
    assert min(agreement(*sent, sample.embedding) for sent in zip(heads, weights, strict=True)) > 0.97
