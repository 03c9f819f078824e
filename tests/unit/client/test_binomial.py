"""The exact binomial tails, against SciPy's."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from upriver.binomial import allowed, at_least, at_most
from upriver_control.calibration import binomial as scipys


@given(st.integers(0, 20_000), st.floats(0.0, 1.0), st.floats(1e-6, 1 - 1e-6))
@settings(max_examples=300, deadline=None)
def test_a_tail_is_scipys(trials: int, share: float, p: float) -> None:
    count = round(share * trials)
    expected = float(binom.cdf(count, trials, p))
    if expected > 1e-280:
        assert at_most(count, trials, p) == pytest.approx(expected, rel=1e-8, abs=1e-14)
    assert at_least(count, trials, p) == pytest.approx(float(binom.sf(count - 1, trials, p)), rel=1e-8, abs=1e-14)


def test_far_in_the_tail_a_probability_is_small_and_not_nothing() -> None:
    assert at_most(0, 1000, 0.5) == pytest.approx(0.5**1000)
    assert at_most(3, 5000, 0.01) == pytest.approx(float(binom.cdf(3, 5000, 0.01)), rel=1e-9)


def test_the_edges_are_defined() -> None:
    assert at_most(-1, 5, 0.5) == 0.0
    assert at_most(5, 5, 0.5) == 1.0
    assert at_most(0, 0, 0.5) == 1.0
    assert at_most(2, 5, 0.0) == 1.0
    assert at_most(4, 5, 1.0) == 0.0
    assert at_least(0, 0, 0.5) == 1.0
    assert at_least(1, 0, 0.5) == 0.0


@given(st.integers(0, 6000), st.sampled_from([0.001, 0.005, 0.01, 0.02, 0.2]), st.floats(1e-5, 0.2))
@settings(max_examples=100, deadline=None)
def test_what_is_allowed_is_what_calibrations_allow(questions: int, epsilon: float, delta: float) -> None:
    assert allowed(questions, epsilon, delta) == scipys.allowed(questions, epsilon, delta)


def test_without_a_loss_so_many_questions_are_needed() -> None:
    for epsilon, needed in ((0.01, 299), (0.005, 598), (0.002, 1497), (0.001, 2995)):
        assert allowed(needed, epsilon, 0.05) == 0
        assert allowed(needed - 1, epsilon, 0.05) == -1
        assert needed == math.ceil(math.log(0.05) / math.log1p(-epsilon))
