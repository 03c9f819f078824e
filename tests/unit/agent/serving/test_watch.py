"""Noticing: by the question's number alone, each row for itself, without waiting for anybody."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_agent import coin
from upriver_agent.serving.watch import LOOKED_AT, Noticed, Watch

numbers = st.integers(0, coin.SPAN - 1)
ANYTHING: Any = SimpleNamespace()


def noticed(
    number: int, confidence: Any, rate: float, content: Any = ANYTHING, rows: Any = ()
) -> tuple[list[Noticed], list[Any]]:
    taken: list[Noticed] = []
    looked: list[Any] = []
    watch = Watch(taken.append, looked.append, ANYTHING)
    watch.audit(rate)
    watch.notice(content, content, content, number, "", rows, True, None, content, np.asarray(confidence), content)
    return taken, looked


@given(numbers, st.integers(1, 50), st.floats(0, 1), st.data())
def test_which_rows_are_audited_depends_on_the_number_alone(number: int, rows: int, rate: float, data: Any) -> None:
    one = data.draw(st.lists(st.floats(), min_size=rows, max_size=rows))
    other = data.draw(st.lists(st.floats(), min_size=rows, max_size=rows))
    first, _ = noticed(number, one, rate)
    second, _ = noticed(number, other, rate, content=SimpleNamespace(other=1))
    assert [one.audited.tolist() for one in first] == [one.audited.tolist() for one in second]
    wanted = [row for row, draw in enumerate(coin.draws(number, range(rows)).tolist()) if draw < coin.limit(rate)]
    assert [row for one in first for row in one.audited.tolist()] == wanted


@given(numbers)
def test_a_single_row_that_is_to_be_noticed_passes_the_first_test(number: int) -> None:
    for rate in (0.0, 0.02, 0.5):
        watch = Watch(lambda _: None, lambda _: None, ANYTHING)
        watch.audit(rate)
        taken, looked = noticed(number, [0.5], rate)
        assert (coin.draw(number) < watch.limit) == bool(taken or looked)


def test_a_rate_of_one_audits_everything_and_one_of_none_nothing() -> None:
    everything, _ = noticed(3, [0.5] * 2000, 1.0)
    nothing, looked = noticed(3, [0.5] * 2000, 0.0)
    assert everything[0].audited.tolist() == list(range(2000))
    assert nothing == []
    assert len(looked[0]) == pytest.approx(2000 * LOOKED_AT, rel=0.3)


@given(numbers, st.lists(st.integers(0, 200), min_size=1, max_size=20, unique=True))
def test_a_row_that_went_up_is_tossed_for_as_it_was_below(number: int, went_up: list[int]) -> None:
    below, _ = noticed(number, [0.5] * 201, 0.3)
    hit = set(below[0].audited.tolist()) if below else set()
    above, _ = noticed(number, [0.5] * len(went_up), 0.3, rows=tuple(sorted(went_up)))
    assert {row for one in above for row in one.rows} == hit & set(went_up)
