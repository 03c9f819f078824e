"""Whose turn it is: what is new is not held up by what is old."""

from upriver_agent.spooling.replay import NEW_PER_OLD, Passed, Source, Turns


def test_with_both_there_are_several_new_ones_for_an_old_one() -> None:
    turns = Turns()
    told = [turns.next(True, True) for _ in range(2 * (NEW_PER_OLD + 1))]
    assert told == ([Source.NEW] * NEW_PER_OLD + [Source.KEPT]) * 2


def test_with_one_kind_it_is_that() -> None:
    turns = Turns()
    assert [turns.next(False, True) for _ in range(9)] == [Source.KEPT] * 9
    assert [turns.next(True, False) for _ in range(9)] == [Source.NEW] * 9
    assert turns.next(False, False) is None


def test_a_batch_is_passed_when_others_are_taken_after_it_was_put_off_and_not_while_nobody_takes_any() -> None:
    passed = Passed()
    assert [passed.put_off(1) for _ in range(5)] == [0] * 5
    for times in range(1, 4):
        passed.taken(10 + times)
        passed.taken(20 + times)
        assert passed.put_off(1) == times
    passed.taken(1)
    assert passed.put_off(1) == 0


def test_of_what_is_put_off_little_is_remembered_and_what_is_put_off_first_is() -> None:
    passed = Passed()
    for _ in range(3):
        for batch in range(1000):
            passed.put_off(batch)
        passed.taken(1000)
    assert passed.put_off(0) == 3
    assert sum(passed.put_off(batch) > 0 for batch in range(1000)) < 20
