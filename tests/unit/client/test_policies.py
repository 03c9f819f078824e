"""Policies as documents."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import ManifestError
from upriver.policies import PolicyDocument, read_policy, write_policy
from upriver.scores import ScoreKind

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POLICIES = st.builds(
    PolicyDocument,
    st.just("sha256:" + "0" * 64),
    st.sampled_from(list(ScoreKind)),
    NUMBERS | st.sampled_from([math.inf, -math.inf]),
    st.floats(min_value=1e-300, max_value=1e300),
    NUMBERS,
)


@given(POLICIES)
def test_a_policy_comes_back_as_it_was_written(policy: PolicyDocument) -> None:
    assert read_policy(write_policy(policy)) == policy


@given(POLICIES, st.integers(0, 400), st.characters(codec="ascii"))
def test_a_document_with_another_letter_is_another_policy_or_none(policy: PolicyDocument, at: int, letter: str) -> None:
    document = write_policy(policy)
    at %= len(document)
    changed = document[:at] + letter + document[at + 1 :]
    try:
        found = read_policy(changed)
    except ManifestError:
        return
    assert (found == policy) == (changed == document)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 9999, '{"score":"margin"}'])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="policy document"):
        read_policy(text)


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(ManifestError) as told:
        write_policy(PolicyDocument("x", ScoreKind.MARGIN, math.nan, 0.0, math.inf))
    assert len(told.value.problems) == 4
