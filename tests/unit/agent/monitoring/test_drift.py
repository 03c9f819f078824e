"""Warnings without labels: silent while nothing changes, soon there when something does, bounded in memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.monitoring.drift import REFERENCE, WINDOW, Adwin, ScoreDrift, differ


def test_confidences_that_stay_as_they_were_are_not_warned_of() -> None:
    random = np.random.default_rng(1)
    drift = ScoreDrift()
    warned = 0
    for confidence in random.beta(8, 1, 40 * WINDOW):
        drift = drift.look(float(confidence))
        warned += drift.drifted
    assert warned == 0


def test_confidences_that_fall_are_warned_of_within_one_window() -> None:
    random = np.random.default_rng(2)
    drift = ScoreDrift()
    for confidence in random.beta(8, 1, REFERENCE + WINDOW):
        drift = drift.look(float(confidence))
    assert not drift.drifted
    for confidence in random.beta(4, 1, WINDOW):
        drift = drift.look(float(confidence))
    assert drift.drifted


@given(st.lists(st.floats(allow_nan=False), max_size=REFERENCE + 3 * WINDOW))
def test_score_drift_keeps_no_more_than_a_reference_and_a_window(confidences: list[float]) -> None:
    drift = ScoreDrift()
    for confidence in confidences:
        drift = drift.look(confidence)
    assert len(drift.reference) == min(REFERENCE, len(confidences))
    assert len(drift.window) < WINDOW


def test_two_samples_of_one_value_do_not_differ() -> None:
    assert not differ([0.5] * 100, [0.5] * 80, 1e-4)
    assert differ([0.5] * 100, [0.6] * 80, 1e-4)
    assert not differ([float("-inf")] * 100, [float("-inf")] * 80, 1e-4)


def test_a_constant_share_is_kept_whole_and_its_mean_is_right() -> None:
    random = np.random.default_rng(3)
    adwin = Adwin()
    cuts = sum(adwin.look(bool(happened)) for happened in random.random(20_000) < 0.06)
    assert cuts == 0
    assert adwin.size == 20_000
    assert abs(adwin.mean - 0.06) < 0.006
    assert sum(len(row) for row in adwin.rows) < 100


def test_a_share_that_jumps_is_seen_and_what_was_before_is_dropped() -> None:
    random = np.random.default_rng(4)
    adwin = Adwin()
    assert not any(adwin.look(bool(happened)) for happened in random.random(5_000) < 0.06)
    seen = [adwin.look(bool(happened)) for happened in random.random(600) < 0.3]
    assert any(seen)
    assert seen.index(True) < 200
    assert adwin.size < 1_500
    assert adwin.mean > 0.2


@given(st.lists(st.booleans(), max_size=300))
def test_a_window_goes_on_from_what_was_kept_of_it(happened: list[bool]) -> None:
    whole = Adwin()
    for one in happened:
        whole.look(one)
    again = Adwin(whole.rows)
    assert again.rows == whole.rows
    assert again.size == whole.size
    assert 0.0 <= again.mean <= 1.0
