"""The gate keeps its promise: in simulation over many repeats, and for every holdout that can be."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from upriver.binomial import at_most
from upriver.promises import FEWER, Promise, delta_of, least_questions
from upriver_agent.learning.gate import GRID, Scored, Trial, judge

TWO_PERCENT = Promise(0.02, 0.05)


def scored(given: ArrayLike, agrees: ArrayLike, passes: ArrayLike = False) -> Scored:
    confidence = np.asarray(given, dtype=np.float64)
    rows = len(confidence)
    return Scored(
        confidence,
        np.broadcast_to(np.asarray(agrees, bool), rows),
        np.broadcast_to(np.asarray(passes, bool), rows),
        np.ones(rows, bool),
    )


def test_the_shares_of_all_attempts_add_up_to_no_more_than_delta() -> None:
    assert sum(delta_of(0.05, attempt) for attempt in range(1, 100_000)) < 0.05
    assert sum(delta_of(0.05, attempt) for attempt in range(1, 100_000)) == pytest.approx(0.05, rel=1e-4)
    assert delta_of(0.05, 1) == pytest.approx(0.0304, abs=1e-4)
    with pytest.raises(ValueError, match="expected 1 or more"):
        delta_of(0.05, 0)


@pytest.mark.parametrize("epsilon", [0.5, 0.01, 1e-6, 1e-17, 5e-324])
def test_as_many_questions_are_needed_as_would_do_without_a_loss(epsilon: float) -> None:
    needed = least_questions(epsilon, 0.03)
    assert at_most(0, needed, max(epsilon, 1e-12)) <= 0.03
    assert at_most(0, needed - 1, epsilon) > 0.03


def test_the_grid_rises_from_nothing_to_nearly_certain() -> None:
    assert GRID[0] == 0.0
    assert GRID[-1] == 1.0 - 1e-7
    assert (np.diff(GRID) > 0).all()


def test_a_head_that_is_right_where_it_is_sure_is_promoted_with_its_numbers() -> None:
    sure, unsure = np.full(700, 0.99), np.full(300, 0.3)
    trial = judge(scored(np.append(sure, unsure), np.append(np.ones(700), np.zeros(300))), TWO_PERCENT, 1)
    assert trial.passed
    assert 0.3 < trial.threshold <= 0.99
    assert (trial.losses, trial.questions, trial.coverage) == (0, 1000, 0.7)
    assert trial.p_loss == pytest.approx(0.98**1000)
    assert trial.delta == delta_of(0.05, 1)
    assert (trial.gained, trial.given_up) == (700, 0)
    assert trial.p_fewer == pytest.approx(0.5**700)


def test_a_head_that_does_not_escalate_less_is_not_promoted_however_right_it_is() -> None:
    rows = 1000
    now = np.arange(rows) < 800
    trial = judge(scored(np.where(np.arange(rows) < 790, 0.9, -math.inf), True, now), TWO_PERCENT, 1)
    assert not trial.passed
    assert "does not escalate less" in trial.why
    assert (trial.gained, trial.given_up) == (0, 10)


def test_what_answers_now_counts_only_where_it_is_known() -> None:
    rows = 1000
    found = Scored(np.full(rows, 0.9), np.ones(rows, bool), np.zeros(rows, bool), np.arange(rows) < 3)
    trial = judge(found, TWO_PERCENT, 1)
    assert (trial.gained, trial.given_up, round(trial.p_fewer, 9)) == (3, 0, 0.125)
    assert trial.p_fewer > FEWER
    assert not trial.passed


@pytest.mark.parametrize("rows", [0, 1, 100, 172])
def test_too_few_questions_are_an_answer_that_says_how_many_it_takes(rows: int) -> None:
    trial = judge(scored(np.ones(rows), True), TWO_PERCENT, 1)
    assert not trial.passed
    assert trial.why == f"{rows} questions held out: at least 173 are needed to prove 0.02"
    assert trial.threshold == math.inf


def test_with_just_enough_questions_and_no_loss_it_passes() -> None:
    assert judge(scored(np.ones(173), True), TWO_PERCENT, 1).passed


@pytest.mark.parametrize("agrees", [False, True])
def test_when_all_scores_are_equal_it_is_all_or_nothing(agrees: bool) -> None:
    trial = judge(scored(np.full(2000, 0.5), agrees), TWO_PERCENT, 1)
    assert trial.passed is agrees
    assert trial.coverage == (1.0 if agrees else 0.0)


@pytest.mark.parametrize("garbage", [-math.inf, 0.1, 1.0])
def test_a_head_of_garbage_is_never_promoted(garbage: float) -> None:
    rng = np.random.default_rng(1)
    trial = judge(scored(np.full(5000, garbage), rng.random(5000) < 0.1), TWO_PERCENT, 1)
    assert not trial.passed


def test_noise_is_not_promoted() -> None:
    rng = np.random.default_rng(2)
    for attempt in range(1, 200):
        assert not judge(scored(rng.random(3000), rng.random(3000) < 0.5), TWO_PERCENT, attempt).passed


confidences = st.one_of(st.floats(0.0, 1.0), st.just(-math.inf))


@given(
    st.lists(st.tuples(confidences, st.booleans(), st.booleans(), st.booleans()), max_size=60),
    st.integers(0, 60),
    st.integers(1, 50),
    st.sampled_from([0.001, 0.01, 0.1, 0.5]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_the_holdout_is_a_promotion_has_both_proofs(
    rows: list[tuple[float, bool, bool, bool]], repeats: int, attempt: int, epsilon: float
) -> None:
    table = rows * (1 + repeats)
    columns = list(zip(*table, strict=True)) or [(), (), (), ()]
    found = Scored(np.array(columns[0], np.float64), *(np.array(column, bool) for column in columns[1:]))
    trial: Trial = judge(found, Promise(epsilon, 0.1), attempt)
    assert 0.0 <= trial.p_loss <= 1.0
    assert 0.0 <= trial.p_fewer <= 1.0
    if trial.passed:
        here = found.confidence >= trial.threshold
        assert trial.p_loss <= trial.delta == delta_of(0.1, attempt)
        assert trial.p_fewer <= FEWER
        assert trial.losses == (here & ~found.agrees).sum() <= epsilon * len(table)
        assert trial.coverage == here.mean() > 0.0
        assert trial.losses < max(0.25, epsilon) * here.sum()
        assert trial.threshold in GRID


def test_a_head_that_breaks_the_promise_a_little_gets_through_no_more_often_than_delta() -> None:
    # Every question passes every threshold alike and is lost with 1.01 ε: the worst case of the promise.
    rng = np.random.default_rng(3)
    promise, rows, repeats = Promise(0.02, 0.1), 3000, 3000
    through = 0
    for _ in range(repeats):
        agrees = rng.random(rows) >= 1.01 * promise.epsilon
        through += judge(scored(np.full(rows, 0.9), agrees), promise, 1).passed
    level = delta_of(promise.delta, 1)
    assert through / repeats <= level + 3 * math.sqrt(level / repeats)
    assert through > 0.3 * level * repeats, "the test is not merely timid"


def test_over_all_attempts_of_a_life_the_promise_is_broken_no_more_often_than_delta() -> None:
    # 20 candidates one after the other on a holdout that grows, each of them lost with 1.01 ε wherever it answers.
    rng = np.random.default_rng(4)
    promise, lives = Promise(0.05, 0.1), 300
    broken = 0
    for _ in range(lives):
        fates = rng.random((20, 2000)) >= 1.01 * promise.epsilon
        trials = (
            judge(scored(np.full(n, 0.9), fates[j, :n]), promise, j + 1) for j in range(20) for n in (100 * j + 100,)
        )
        broken += any(trial.passed for trial in trials)
    assert broken / lives <= promise.delta + 3 * math.sqrt(promise.delta / lives)


def test_where_the_risk_depends_on_the_score_the_threshold_keeps_within_it() -> None:
    # The risk at score s is (1 - s) / 10; answering from τ on loses (1 - τ)² / 20 of all: ε = 2 % is at τ = 0.368.
    rng = np.random.default_rng(5)
    promise, rows, repeats = Promise(0.02, 0.1), 4000, 400
    beyond, thresholds = 0, []
    for _ in range(repeats):
        sure = rng.random(rows)
        trial = judge(scored(sure, rng.random(rows) >= (1 - sure) / 10), promise, 1)
        thresholds.append(trial.threshold)
        beyond += (1 - trial.threshold) ** 2 / 20 > promise.epsilon
    level = delta_of(promise.delta, 1)
    assert beyond / repeats <= level + 3 * math.sqrt(level / repeats)
    assert np.median(thresholds) < 0.55, "it uses most of what it may"
