"""What is measured of a model's answers."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.parameters import Reason
from upriver_agent.merge import RowFacts
from upriver_agent.serving.meter import (
    CONFIDENCE_BOUNDS,
    STAGE_BOUNDS,
    Meter,
    Sums,
    confidence_bucket,
    stage_bucket,
)


def _row(path: tuple[str, ...], resolved: bool = True, reason: Reason = Reason.CONFIDENT) -> RowFacts:
    return RowFacts("a", "device", 0.5, resolved, reason, False, path, "")


@given(st.integers(0, 2**60))
def test_a_time_is_in_the_bucket_whose_bounds_are_around_it(nanoseconds: int) -> None:
    edges = (-1.0, *STAGE_BOUNDS, float("inf"))
    bucket = stage_bucket(nanoseconds)
    assert edges[bucket] < nanoseconds / 1e9 <= edges[bucket + 1]


@given(st.floats(0, 1))
def test_a_confidence_is_in_the_bucket_whose_bounds_are_around_it(score: float) -> None:
    edges = (-1.0, *CONFIDENCE_BOUNDS, float("inf"))
    bucket = confidence_bucket(score)
    assert edges[bucket] < score <= edges[bucket + 1]


@given(st.floats())
def test_whatever_a_score_is_there_is_a_bucket_for_it(score: float) -> None:
    assert 0 <= confidence_bucket(score) <= len(CONFIDENCE_BOUNDS)


@given(st.lists(st.tuples(st.integers(-10, 2**60), st.lists(st.floats(), max_size=3))))
def test_local_answers_are_counted_as_the_others_are(answers: list[tuple[int, list[float]]]) -> None:
    local, slow = Meter("digits"), Meter("digits")
    for nanoseconds, scores in answers:
        local.local(nanoseconds, np.array(scores))
        slow.slow(nanoseconds, 0, np.array(scores), [], "", 1.0)
    assert local.total()[0] == slow.total()[0]
    assert local.total()[1] == pytest.approx(sum(nanoseconds for nanoseconds, _ in answers) / 1e9)
    assert local.confidence()[0] == slow.slow_confidence()[0]
    assert local.confidence()[1] == pytest.approx(slow.slow_confidence()[1])


def test_nothing_that_threads_add_is_lost() -> None:
    sums = Sums(2)

    def adds() -> None:
        sums.joined()
        for _ in range(2000):
            sums.own.numbers[1] += 0.5

    threads = [threading.Thread(target=adds) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums.totals() == [0, 4000.0]


def test_local_answers_are_apart_from_those_that_went_on() -> None:
    meter = Meter("digits")
    meter.local(70_000, np.array([0.97, 0.99]))
    facts = [_row(("a", "b")), _row(("a",), False, Reason.UPSTREAM_DOWN)]
    meter.slow(9_000_000, 8_000_000, np.array([0.3, 0.4]), facts, "ab" * 16, 1.0)
    meter.failed("DEADLINE")
    assert sum(meter.confidence()[0]) == 2
    assert meter.outcomes() == {
        ("above", Reason.CONFIDENT): 1,
        ("unresolved", Reason.UPSTREAM_DOWN): 1,
        ("failed", "DEADLINE"): 1,
    }
    assert sum(meter.total()[0]) == 2
    assert meter.slowest == {stage_bucket(9_000_000): ("ab" * 16, 0.009, 1.0)}


def test_threads_that_come_and_go_leave_nothing_behind() -> None:
    meter = Meter("digits")
    for _ in range(5):
        arguments = (9_000_000, 8_000_000, np.array([0.3]), [_row(("a", "b"))], "", 1.0)
        for target, given_to in ((meter.slow, arguments), (meter.local, (70_000, np.array([0.97])))):
            thread = threading.Thread(target=target, args=given_to)
            thread.start()
            thread.join()
    assert len(meter._local._alive) <= 1, "those that ended are counted together when the next one comes"
    assert sum(meter.total()[0]) == 10
    assert meter.confidence() == ((*[0] * 19, 5), pytest.approx(0.97 * 5))
    assert not meter._local._alive
