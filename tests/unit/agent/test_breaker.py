"""An upstream that keeps failing is left alone, tried one question at a time, and trusted again once it answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import CallerGone, DeadlineExpired, QueueFull, Unreachable, UpriverError
from upriver_agent.breaker import CLOSED, FAILURES_TO_OPEN, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker, counts


def after(failures: int, now_s: float = 0.0) -> Breaker:
    breaker = CLOSED
    for _ in range(failures):
        breaker = breaker.asked(now_s).failed(now_s)
    return breaker


@given(st.integers(0, 200), st.floats(0, 1e6))
def test_it_opens_after_enough_failures_in_a_row_and_never_for_long(failures: int, now_s: float) -> None:
    breaker = after(failures, now_s)
    assert breaker.is_open(now_s) == (failures >= FAILURES_TO_OPEN)
    assert not breaker.is_open(now_s + LONGEST_PAUSE_S)


def test_after_the_pause_one_question_tries_and_the_others_wait() -> None:
    breaker = after(FAILURES_TO_OPEN)
    assert breaker.is_open(FIRST_PAUSE_S * 0.99)
    assert not breaker.is_open(FIRST_PAUSE_S)
    trying = breaker.asked(FIRST_PAUSE_S)
    assert trying.is_open(FIRST_PAUSE_S)
    assert not trying.is_open(2 * FIRST_PAUSE_S), "a try that never ends does not keep it open for ever"


def test_a_failed_try_doubles_the_pause() -> None:
    pauses = [after(FAILURES_TO_OPEN + tries).pause_s for tries in range(4)]
    assert pauses == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S]


@given(st.lists(st.booleans(), max_size=60))
def test_it_is_open_only_when_the_last_answers_all_failed(answers: list[bool]) -> None:
    breaker, row = CLOSED, 0
    for answered in answers:
        breaker = CLOSED if answered else breaker.asked(0.0).failed(0.0)
        row = 0 if answered else row + 1
        assert breaker.is_open(0.0) == (row >= FAILURES_TO_OPEN)


@pytest.mark.parametrize(
    ("failure", "timeout_s", "expected"),
    [
        (Unreachable("down"), 0.01, True),
        (DeadlineExpired("slow"), 2.0, True),
        (DeadlineExpired("hurried"), 0.1, False),
        (QueueFull("full"), 2.0, False),
        (CallerGone("gone"), 2.0, False),
    ],
)
def test_which_failures_speak_against_an_upstream(failure: UpriverError, timeout_s: float, expected: bool) -> None:
    assert counts(failure, timeout_s) is expected
