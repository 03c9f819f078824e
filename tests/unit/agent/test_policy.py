"""Policies: what their digest depends on, and that a caller only ever raises the threshold."""

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import InvalidInput, ManifestError
from upriver.policies import PolicyDocument
from upriver.scores import ScoreKind
from upriver_agent.policy import effective_threshold, make_policy

ONE, OTHER = (f"sha256:{digit * 64}" for digit in "01")
numbers = st.floats(allow_nan=False)


@given(numbers, st.none() | numbers)
def test_the_caller_raises_the_threshold_and_never_lowers_it(threshold: float, asked: float | None) -> None:
    policy = make_policy(PolicyDocument(ONE, ScoreKind.MARGIN, threshold))
    effective = effective_threshold(policy, asked)
    assert effective >= threshold
    assert effective == (threshold if asked is None or asked < threshold else asked)


def test_a_minimum_of_nan_is_refused() -> None:
    policy = make_policy(PolicyDocument(ONE, ScoreKind.MARGIN, 0.5))
    with pytest.raises(InvalidInput, match=r"upriver\.min_confidence.* nan: expected a number"):
        effective_threshold(policy, math.nan)


def test_a_policy_that_is_not_valid_is_refused() -> None:
    with pytest.raises(ManifestError, match="temperature"):
        make_policy(PolicyDocument(ONE, ScoreKind.MARGIN, 0.5, temperature=0.0))


policies = st.builds(
    PolicyDocument,
    st.sampled_from([ONE, OTHER]),
    st.sampled_from([ScoreKind.MARGIN, ScoreKind.ENERGY]),
    st.sampled_from([0.5, 0.9, math.inf, -math.inf]),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([0.5, 0.6]),
)


@given(policies, policies)
def test_two_pairs_have_one_digest_only_when_they_are_the_same(one: PolicyDocument, other: PolicyDocument) -> None:
    assert (make_policy(one).digest == make_policy(other).digest) == (one == other)


def test_the_digest_is_stable() -> None:
    # Written by hand; a change here makes every agent's pair look new.
    text = (
        f'{{"box_threshold":0.5,"score":"max_probability","temperature":1.0,"threshold":0.9,"version_digest":"{ONE}"}}'
    )
    digest = make_policy(PolicyDocument(ONE, ScoreKind.MAX_PROBABILITY, 0.9)).digest
    assert digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_whole_and_broken_numbers_that_are_equal_make_one_digest() -> None:
    one, other = (make_policy(PolicyDocument(ONE, ScoreKind.ENERGY, number)) for number in (1, 1.0))
    assert one.digest == other.digest
