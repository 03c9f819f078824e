"""Troubles are told once an hour."""

from upriver_agent.spooling.telling import AGAIN_S, Told


def test_reasons_that_take_turns_are_told_once_each_until_an_hour_has_gone() -> None:
    told = Told()
    assert [told.is_due(why, now) for now in range(5) for why in "ab"] == [True, True] + [False] * 8
    assert told.is_due("a", AGAIN_S + 1)
    assert not told.is_due("a", AGAIN_S + 2)


def test_few_reasons_are_remembered() -> None:
    told = Told()
    assert all(told.is_due(str(number), 0.0) for number in range(1000))
    assert not told.is_due("999", 0.0)
    assert told.is_due("0", 0.0)
