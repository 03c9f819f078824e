"""Certificates hold as often as they promise, and are not timid; too little data is an answer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.control_plane.calibration.oracle import Difficulty, risk_of, share_of
from upriver.policies import Form
from upriver_control.calibration import betting, binomial, proof
from upriver_control.calibration.budgets import choose_budgets
from upriver_control.calibration.certificate import (
    Budget,
    falling_candidates,
    fixed_sequence,
    lowest_threshold,
    missing_questions,
)
from upriver_control.calibration.cost_path import Ladder
from upriver_control.calibration.inputs import Target, hop_costs
from upriver_control.calibration.joint import Splits
from upriver_control.calibration.plan import look_ahead, prove

EPSILON, DELTA = 0.02, 0.1
TWO = (Difficulty(0.3, 3.0), Difficulty(0.1, 3.0))


def ladder(rng, tiers, rows):
    u = rng.random(rows)
    wrong = [rng.random(rows) < tier.a * u**tier.b for tier in tiers]
    return Ladder([1.0 - u] * len(tiers), [tier.a * u**tier.b for tier in tiers], wrong, hop_costs([10.0] * len(tiers)))


@pytest.mark.parametrize("form", Form)
def test_a_known_risk_is_above_the_bound_no_more_often_than_promised(form):
    rng = np.random.default_rng(7)
    target = Target(EPSILON, DELTA, form)
    tuning = ladder(rng, TWO, 2000)
    prospect = look_ahead(tuning, (True, True), 1500, target)
    runs, above, used = 400, 0, []
    for _ in range(runs):
        plan = prove(Splits(tuning, ladder(rng, TWO, 1500), (True, True)), prospect, target)
        risk = risk_of(TWO, plan.rule.thresholds)
        above += risk > EPSILON
        used.append(risk / EPSILON)
    assert above <= binomial_limit(runs, DELTA)
    assert np.mean(used) > (0.6 if form is Form.JOINT else 0.4)


def binomial_limit(runs, delta):
    """Exceeded by chance once in a thousand when the true share is delta."""
    return next(k for k in range(runs) if binomial.p_values(k, runs, delta) > 0.999)


def test_a_share_of_coverage_near_that_of_who_knows_the_risk_is_reached():
    rng = np.random.default_rng(3)
    one = (Difficulty(0.3, 3.0),)
    target = Target(0.01, 0.05, Form.JOINT)
    known = (0.01 * 4 / 0.3) ** 0.25
    tuning = ladder(rng, one, 5000)
    prospect = look_ahead(tuning, (True,), 5000, target)
    plans = [prove(Splits(tuning, ladder(rng, one, 5000), (True,)), prospect, target) for _ in range(40)]
    assert np.mean([share_of(plan.rule.thresholds) for plan in plans]) >= 0.9 * known


def test_a_risk_that_is_just_too_high_everywhere_ships_no_more_often_than_delta():
    rng = np.random.default_rng(5)
    runs, shipped = 400, 0
    for _ in range(runs):
        loses = rng.random(800) < 1.01 * EPSILON
        threshold, _ = lowest_threshold(np.zeros(800), loses, np.array([0.0]), Budget(allowed(800), EPSILON, DELTA))
        shipped += threshold < math.inf
    assert 0 < shipped <= binomial_limit(runs, DELTA)


def allowed(questions):
    return binomial.allowed(questions, EPSILON, DELTA)


@pytest.mark.parametrize(("epsilon", "needed"), [(0.01, 299), (0.005, 598), (0.002, 1497), (0.001, 2995)])
def test_so_many_questions_are_needed_without_a_single_loss(epsilon, needed):
    assert proof.questions_needed(epsilon, 0.05) == needed
    assert binomial.allowed(needed, epsilon, 0.05) == 0
    assert binomial.allowed(needed - 1, epsilon, 0.05) == -1


@pytest.mark.parametrize(("epsilon", "losses"), [(0.01, 38), (0.005, 16), (0.002, 4), (0.001, 1)])
def test_so_many_losses_of_five_thousand_still_prove_it(epsilon, losses):
    assert binomial.allowed(5000, epsilon, 0.05) == losses


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 3000), st.floats(1e-4, 0.5), st.floats(1e-4, 0.5))
def test_what_is_allowed_proves_the_bound_and_one_more_would_not(questions, epsilon, delta):
    most = binomial.allowed(questions, epsilon, delta)
    assert most < max(questions, 1)
    if most >= 0:
        assert binomial.upper_bound(most, questions, delta) <= epsilon * (1 + 1e-9)
    assert binomial.upper_bound(most + 1, questions, delta) >= epsilon * (1 - 1e-9)


def test_nothing_asked_and_everything_lost_prove_nothing():
    assert binomial.p_values(0, 0, 0.01) == 1.0
    assert binomial.allowed(0, 0.01, 0.05) == -1
    assert binomial.upper_bound(10, 10, 0.05) == 1.0
    assert binomial.p_values(10, 10, 0.01) == pytest.approx(1.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 40), st.floats(1e-3, 0.2))
def test_what_is_missing_is_just_enough(questions, losses, epsilon):
    more = missing_questions(questions, losses, epsilon, 0.05)
    assert binomial.allowed(questions + more, epsilon, 0.05) >= losses
    assert not more or binomial.allowed(questions + more - 1, epsilon, 0.05) < losses


def test_the_sequence_stops_at_the_first_point_that_it_cannot_refute():
    p_values = [0.0, 0.01, 0.2, 0.01]
    assert fixed_sequence(p_values, 0.05) == 1
    assert fixed_sequence(p_values, 0.5) == 3
    assert fixed_sequence([0.9], 0.05) == fixed_sequence([], 0.05) == -1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, -math.inf]), st.booleans()), max_size=30), st.integers(-1, 5))
def test_equal_confidences_pass_together_or_not_at_all(rows, most):
    confidence = np.array([value for value, _ in rows], dtype=np.float64)
    loses = np.array([flag for _, flag in rows], dtype=np.bool_)
    candidates = falling_candidates(confidence)
    threshold, losses = lowest_threshold(confidence, loses, candidates, Budget(most, 0.1, 0.1))
    passing = confidence >= threshold
    assert not passing[confidence == -math.inf].any()
    assert loses[passing].sum() == losses <= max(most, 0)
    for value in (0.1, 0.2, 0.5):
        assert len(set(passing[confidence == value])) <= 1


def test_splits_of_the_bound_and_of_delta_add_up():
    rng = np.random.default_rng(1)
    for questions in (0, 100, 700, 5000):
        budgets = choose_budgets(ladder(rng, TWO, 2000), (True, True), questions, 0.01, 0.05)
        given_out = [budget for budget in budgets if budget.losses >= 0]
        assert sum(budget.epsilon for budget in given_out) <= 0.01 + 1e-12
        assert sum(budget.delta for budget in given_out) <= 0.05 + 1e-12
        assert bool(given_out) == (questions >= 299)


def test_betting_is_wrong_no_more_often_than_promised_and_knows_that_gains_pay_back():
    rng = np.random.default_rng(2)
    runs, epsilon = 400, 0.02
    bad = rng.choice([-1, 0, 1], p=[0.01, 0.96, 0.03], size=(runs, 1500)).astype(np.int8)  # a mean of just epsilon
    rejected = sum(betting.p_value(row, epsilon, bad[0]) <= DELTA for row in bad)
    assert rejected <= binomial_limit(runs, DELTA)
    good = rng.choice([-1, 0, 1], p=[0.02, 0.96, 0.02], size=(40, 5000)).astype(np.int8)
    assert np.mean([betting.p_value(row, epsilon, good[0]) <= DELTA for row in good]) > 0.9
    assert not any(betting.p_value(np.abs(row), epsilon, good[0]) <= DELTA for row in good)


def test_betting_without_losses_needs_about_twice_the_questions_of_counting():
    needed = proof.questions_needed(0.01, 0.05)
    assert betting.p_value(np.zeros(2 * needed, dtype=np.int8), 0.01) <= 0.05
    assert betting.p_value(np.zeros(0, dtype=np.int8), 0.01) == 1.0
    assert betting.p_value(np.ones(500, dtype=np.int8), 0.01) == 1.0


def test_calibrating_on_escalated_questions_alone_states_another_risk():
    # This is why audits exist. Here the surest fifth is where it is wrong, and nothing sure ever comes up.
    rng = np.random.default_rng(11)
    confidence = rng.random(20_000)
    loses = (rng.random(20_000) < 0.2) & (confidence > 0.8)
    candidates = np.array([0.6])
    budget = Budget(allowed(3000), EPSILON, DELTA)
    fair, escalated = np.arange(3000), np.flatnonzero(confidence < 0.7)[:3000]
    assert lowest_threshold(confidence[fair], loses[fair], candidates, budget)[0] == math.inf
    assert lowest_threshold(confidence[escalated], loses[escalated], candidates, budget) == (0.6, 0)
    assert (loses & (confidence >= 0.6)).mean() > EPSILON
