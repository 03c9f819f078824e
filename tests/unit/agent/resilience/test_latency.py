"""Quantiles of what was seen lately, in bounded memory and to within a tenth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.resilience.latency import Latency


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95]))
def test_a_quantile_is_right_to_within_a_bucket(times, share):
    latency = Latency(30.0)
    for seconds in times:
        latency.observe(0.0, seconds)
    exact = float(np.quantile(times, share, method="inverted_cdf"))
    assert latency.quantile(share) == pytest.approx(exact, rel=0.1)


def test_nothing_is_known_before_the_first_and_after_a_long_time():
    latency = Latency(1.0)
    assert latency.quantile(0.95) is None
    latency.observe(0.0, 0.1)
    assert latency.quantile(0.95) is not None
    assert latency.weight(60.0) < 0.01
    assert latency.quantile(0.95) is None


def test_the_past_fades_and_the_present_is_seen():
    latency = Latency(10.0)
    for number in range(1000):
        latency.observe(number * 0.01, 1.0)
    for number in range(100):
        latency.observe(60.0 + number * 0.01, 0.01)
    assert latency.quantile(0.8) == pytest.approx(0.01, rel=0.1)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e6)), max_size=100))
def test_any_time_is_taken_and_quantiles_are_in_order(seen):
    latency = Latency(5.0)
    now = 0.0
    for passed, seconds in seen:
        now += passed
        latency.observe(now, seconds)
    low, high = latency.quantile(0.5), latency.quantile(0.95)
    assert (low is None) == (high is None)
    if low is not None:
        assert 0 < low <= high


def test_a_quantile_that_was_asked_for_follows_what_is_seen_afterwards():
    latency = Latency(30.0)
    for _ in range(100):
        latency.observe(0.0, 0.01)
    assert latency.quantile(0.5) == pytest.approx(0.01, rel=0.1)
    for _ in range(300):
        latency.observe(0.0, 0.1)
    assert latency.quantile(0.5) == pytest.approx(0.1, rel=0.1)
