"""What agents counted between reports: each row once, whatever is restarted, late or brought by another process."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from upriver_control.spans.counting import MAX_POINTS, Difference, Observed, difference, split

FIRST = Observed("till", "digits", "boot-1", "v1", "eu", 100, 10, 60.0, 1000.0)


def test_a_report_counts_by_what_it_says_more_than_the_one_before():
    now = FIRST._replace(rows=130, escalated_rows=12, active_for_s=75.0, at=1015.0)
    assert difference(FIRST, now) == Difference(30, 2, 1000.0)


def test_a_first_report_counts_over_the_time_that_its_pair_is_active():
    assert difference(None, FIRST) == Difference(100, 10, 940.0)


def test_a_process_that_started_anew_counts_from_nothing_on():
    now = FIRST._replace(boot="boot-2", rows=5, escalated_rows=1, active_for_s=3.0, at=1015.0)
    assert difference(FIRST, now) == Difference(5, 1, 1012.0)


def test_a_pair_that_became_active_again_counts_from_nothing_on():
    now = FIRST._replace(rows=120, escalated_rows=11, active_for_s=8.0, at=1015.0)
    assert difference(FIRST, now) == Difference(120, 11, 1007.0)


def test_what_another_process_counted_already_and_is_brought_late_counts_as_nothing():
    late = FIRST._replace(rows=90, escalated_rows=9, active_for_s=50.0, at=990.0)
    assert difference(FIRST, late) is None
    assert difference(FIRST, FIRST._replace(boot="boot-0", at=900.0)) is None


def test_the_same_report_again_is_no_difference():
    assert difference(FIRST, FIRST) == Difference(0, 0, 1000.0)


@given(
    st.integers(0, 10**7),
    st.floats(0, 1),
    st.floats(0, 4e9, allow_nan=False),
    st.floats(0, 40 * 86_400, allow_nan=False),
)
def test_a_difference_told_by_the_minute_is_whole_and_in_its_time(rows, share, since, length):
    escalated = int(rows * share)
    told = list(split(Difference(rows, escalated, since), since + length))
    assert sum(row for _, row, _ in told) == rows
    assert sum(up for _, _, up in told) == escalated
    assert all(0 <= up <= row for _, row, up in told)
    assert all(one[0] < two[0] for one, two in pairwise(told))
    assert len(told) <= MAX_POINTS
    assert all(since // 60 <= minute <= (since + length) // 60 for minute, _, _ in told)


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.integers(0, 3)), max_size=30))
def test_whatever_is_repeated_or_late_each_row_counts_once(steps):
    """An agent answers rows and starts anew now and then; each report may be brought again later."""
    seen, at, boot, rows, since = [], 1000.0, 0, 0, 1000.0
    for asked, restarts, _ in steps:
        at += 10.0
        if restarts:
            boot, rows, since = boot + 1, 0, at
        rows += asked
        seen.append(Observed("till", "digits", f"boot-{boot}", "v1", "eu", rows, 0, at - since, at))
    before, total = None, 0
    for index, observed in enumerate(seen):
        again = steps[index][2]
        for one in (observed, *seen[max(0, index - again) : index + 1]):
            happened = difference(before, one)
            if happened is not None:
                total += happened.rows
                before = one if before is None or one.at >= before.at else before
    assert total == sum(asked for asked, _, _ in steps)
