"""Policies: what they refuse, what their digest depends on, and that a caller only ever raises the threshold."""

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import InvalidInput, ManifestError
from upriver.scores import ScoreKind
from upriver_agent.policy import effective_threshold, make_policy

numbers = st.floats(allow_nan=False)


@given(numbers, st.none() | numbers)
def test_the_caller_raises_the_threshold_and_never_lowers_it(threshold: float, asked: float | None) -> None:
    policy = make_policy("sha256:00", ScoreKind.MARGIN, threshold)
    effective = effective_threshold(policy, asked)
    assert effective >= threshold
    assert effective == (threshold if asked is None or asked < threshold else asked)


def test_a_minimum_of_nan_is_refused() -> None:
    policy = make_policy("sha256:00", ScoreKind.MARGIN, 0.5)
    with pytest.raises(InvalidInput, match=r"upriver\.min_confidence.* nan: expected a number"):
        effective_threshold(policy, math.nan)


def test_everything_wrong_with_a_policy_is_told_at_once() -> None:
    with pytest.raises(ManifestError) as caught:
        make_policy("sha256:00", ScoreKind.MARGIN, math.nan, temperature=0.0, box_threshold=math.inf)
    assert [problem.split(" = ")[0] for problem in caught.value.problems] == [
        "policy.temperature",
        "policy.threshold",
        "policy.box_threshold",
    ]


policies = st.tuples(
    st.sampled_from(["sha256:00", "sha256:01"]),
    st.sampled_from(ScoreKind),
    st.sampled_from([0.5, 0.9, math.inf, -math.inf]),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([0.5, 0.6]),
)


@given(policies, policies)
def test_two_pairs_have_one_digest_only_when_they_are_the_same(
    one: tuple[str, ScoreKind, float, float, float], other: tuple[str, ScoreKind, float, float, float]
) -> None:
    assert (make_policy(*one).digest == make_policy(*other).digest) == (one == other)


def test_the_digest_is_stable() -> None:
    # Recomputed by hand from the canonical text; a change here makes every agent's pair look new.
    text = (
        '{"box_threshold":0.5,"format":1,"score":"max_probability","temperature":1.0,"threshold":0.9,'
        '"version":"sha256:00"}'
    )
    digest = make_policy("sha256:00", ScoreKind.MAX_PROBABILITY, 0.9).digest
    assert digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_whole_and_broken_numbers_that_are_equal_make_one_digest() -> None:
    assert make_policy("v", ScoreKind.ENERGY, 1).digest == make_policy("v", ScoreKind.ENERGY, 1.0).digest
