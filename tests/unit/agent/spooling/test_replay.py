"""Whose turn it is: what is new is not held up by what is old."""

from upriver_agent.spooling.replay import NEW_PER_OLD, Source, Turns


def test_with_both_there_are_several_new_ones_for_an_old_one() -> None:
    turns = Turns()
    told = [turns.next(True, True) for _ in range(2 * (NEW_PER_OLD + 1))]
    assert told == ([Source.NEW] * NEW_PER_OLD + [Source.KEPT]) * 2


def test_with_one_kind_it_is_that() -> None:
    turns = Turns()
    assert [turns.next(False, True) for _ in range(9)] == [Source.KEPT] * 9
    assert [turns.next(True, False) for _ in range(9)] == [Source.NEW] * 9
    assert turns.next(False, False) is None
