"""Figures over questions, held against the questions themselves."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_control.spans.histogram import BUCKETS, Group, bucket_of, edge_ns, summarize

times = st.lists(st.integers(1001, 3600 * 10**9), min_size=1, max_size=40)


@given(st.integers(0, 2**62))
def test_a_time_lies_in_its_bucket(duration_ns: int) -> None:
    bucket = bucket_of(duration_ns)
    assert 0 <= bucket < BUCKETS
    slack = 1 + 1e-9
    assert edge_ns(bucket) <= duration_ns * slack + 1
    assert bucket == BUCKETS - 1 or duration_ns <= edge_ns(bucket + 1) * slack + 1


@given(times)
def test_what_is_read_off_is_a_fifth_off_at_most(durations: list[int]) -> None:
    found = summarize([Group(bucket_of(duration), "device", "confident", 1, 1.0) for duration in durations])
    for share, read in ((0.5, found.p50_ns), (0.95, found.p95_ns)):
        exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
        assert read is not None
        assert exact / 1.2 <= read <= exact * 1.2


@given(st.lists(st.tuples(st.integers(-3, 200), st.sampled_from("ab"), st.floats(1, 100)), max_size=20))
def test_nothing_is_lost_between_the_bins(given_groups: list[tuple[int, str, float]]) -> None:
    found = summarize([Group(bucket, tier, "top", 1, weight) for bucket, tier, weight in given_groups])
    total = sum(weight for _, _, weight in given_groups)
    assert sum(sum(one.by_tier.values()) for one in found.bins) == pytest.approx(total)
    assert found.estimated == pytest.approx(total)
    assert found.kept == len(given_groups)
    edges = [(one.low_ns, one.high_ns) for one in found.bins]
    assert all(high == low for (_, high), (low, _) in pairwise(edges))
    assert all(low < high for low, high in edges)


def test_each_question_counts_for_those_that_were_not_kept() -> None:
    found = summarize([Group(40, "device", "confident", 1, 100.0), Group(60, "far", "top", 50, 50.0)])
    assert found.reasons == (("confident", 100.0), ("top", 50.0))
    assert found.answered_tiers == (("device", 100.0), ("far", 50.0))
    assert (found.kept, found.estimated) == (51, 150.0)
    assert found.p50_ns is not None
    assert found.p50_ns < edge_ns(41)


def test_without_questions_there_are_no_figures() -> None:
    found = summarize([])
    assert (found.bins, found.p50_ns, found.p95_ns, found.kept, found.estimated) == ((), None, None, 0, 0)
