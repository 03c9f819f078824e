"""The coin: fair, reproducible from a question's id, and blind to everything else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent import coin

words = st.integers(0, coin.SPAN - 1)


@given(words, st.integers(1, 64))
def test_a_batch_has_the_draws_of_its_rows_whatever_its_length(number: int, rows: int) -> None:
    found = coin.draws(number, range(rows))
    assert found.shape == (rows,)
    assert int(found[0]) == coin.draw(number)
    assert (found == coin.draws(number, range(64))[:rows]).all()
    assert (found[::2] == coin.draws(number, range(0, rows, 2))).all(), "a row has its draw whoever is beside it"


@given(words, words)
def test_who_knows_a_question_s_id_tosses_the_same(number: int, secret: int) -> None:
    question = coin.question_id(number, secret)
    assert coin.number_of(question) == number
    assert coin.draw(coin.number_of(question)) == coin.draw(number)


@given(st.text(min_size=1, max_size=40))
def test_an_id_that_somebody_else_made_has_a_number_too(question: str) -> None:
    assert 0 <= coin.number_of(question) < coin.SPAN
    assert coin.number_of(question) == coin.number_of(question)


@given(words, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_audits_all_that_a_lower_one_does(number: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if coin.draw(number) < coin.limit(low):
        assert coin.draw(number) < coin.limit(high)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        coin.limit(rate)


def test_the_coin_is_fair_for_questions_that_follow_each_other_and_for_rows() -> None:
    counter = coin.numbers(12345)
    limit, n = coin.limit(0.02), 100_000
    ones = np.array([coin.draw(next(counter)) < limit for _ in range(n)])
    rows = coin.draws(987, range(n)) < np.uint64(limit)
    for hits in (ones, rows):
        assert abs(hits.mean() - 0.02) < 4 * math.sqrt(0.02 * 0.98 / n)
        # The gaps between hits are those of independent tosses: their spread is as large as their mean.
        gaps = np.diff(np.flatnonzero(hits))
        assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.1)


def test_rows_and_questions_do_not_share_draws() -> None:
    counter = coin.numbers(7)
    seen = np.concatenate([coin.draws(next(counter), range(32)) for _ in range(1000)])
    assert len(np.unique(seen)) == len(seen)
