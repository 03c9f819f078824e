"""What is kept back for the way back: bounded, learnt, and never talked down by a peer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.reserve import MAX_S, MIN_S, MOST, SHARE, SHARE_UP_TO_S, UNKNOWN_S, Reserve, escalation_timeout_s

trips = st.floats(0, 1e6)


@given(st.lists(st.tuples(trips, st.floats())))
def test_a_reserve_is_always_within_its_bounds(samples: list[tuple[float, float]]) -> None:
    reserve = Reserve()
    assert reserve.seconds == UNKNOWN_S
    for round_trip_s, held_s in samples:
        reserve = reserve.observe(round_trip_s, held_s)
        assert MIN_S <= reserve.seconds <= MAX_S


@given(st.floats(0.002, 0.5))
def test_a_steady_way_back_is_learnt(overhead_s: float) -> None:
    reserve = Reserve()
    for _ in range(60):
        reserve = reserve.observe(1.0 + overhead_s, 1.0)
    assert reserve.seconds == pytest.approx(max(overhead_s, MIN_S), rel=0.01)


def test_the_first_sample_counts_whole_with_half_of_it_as_deviation() -> None:
    reserve = Reserve().observe(0.05, 0.01)
    assert reserve.mean_s == pytest.approx(0.04)
    assert reserve.deviation_s == pytest.approx(0.02)


def test_later_samples_count_an_eighth_and_their_deviation_a_quarter() -> None:
    reserve = Reserve(0.04, 0.02).observe(0.12, 0.0)
    assert reserve.mean_s == pytest.approx(0.05)
    assert reserve.deviation_s == pytest.approx(0.035)
    assert reserve.seconds == pytest.approx(0.19)


@given(trips, st.floats())
def test_a_peer_that_lies_about_how_long_it_held_is_believed_within_the_round_trip(trip: float, held: float) -> None:
    mean = Reserve().observe(trip, held).mean_s
    assert mean is not None
    assert 0 <= mean <= trip


@pytest.mark.parametrize("trip", [math.nan, math.inf, -0.001])
def test_an_impossible_round_trip_is_refused(trip: float) -> None:
    with pytest.raises(ValueError, match="round trip"):
        Reserve().observe(trip, 0.0)


@given(st.floats(-10, 1000), st.floats(MIN_S, MAX_S))
def test_an_escalation_never_gets_time_that_the_caller_does_not_have(left: float, reserve: float) -> None:
    timeout = escalation_timeout_s(left, reserve)
    assert 0 <= timeout <= max(0, left)
    if timeout:
        least = min(SHARE * left, SHARE_UP_TO_S)
        assert timeout <= left - max(MIN_S, least)
        assert timeout == left - max(reserve, least) or timeout >= left / 2 - MIN_S


@given(st.floats(0.02, 1000), st.floats(MIN_S, MAX_S))
def test_an_upstream_whose_way_was_long_is_asked_all_the_same(left: float, reserve: float) -> None:
    assert escalation_timeout_s(left, reserve) >= left * (1 - MOST) - 1e-9
