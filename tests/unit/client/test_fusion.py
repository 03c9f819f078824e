"""The product of experts: what calibration fits weights for and agents answer with."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.fusion import FLOOR, MAX_NAMED, Opinion, fuse, opinion
from upriver.scores import Floats

LABELS = tuple(string.ascii_lowercase[:5])
weights = st.floats(0.0, 4.0)


@st.composite
def distributions(draw: st.DrawFn, rows: int = 3, classes: int = 5) -> Floats:
    parts = st.lists(st.floats(0.0, 1.0), min_size=classes, max_size=classes).filter(lambda row: sum(row) > 0.01)
    table = np.array([draw(parts) for _ in range(rows)])
    shares: Floats = table / table.sum(axis=1, keepdims=True)
    return shares


@given(distributions(), distributions(), weights, weights, st.permutations(range(5)), st.permutations(range(5)))
def test_the_order_of_labels_is_of_no_matter(
    own: Floats, below: Floats, mine: float, theirs: float, ours: list[int], other: list[int]
) -> None:
    plain = fuse(own, LABELS, mine, [(theirs, opinion(below, LABELS))]).probabilities
    told = opinion(below[:, other], [LABELS[index] for index in other])
    shuffled = fuse(own[:, ours], [LABELS[index] for index in ours], mine, [(theirs, told)]).probabilities
    np.testing.assert_allclose(shuffled, plain[:, ours], rtol=1e-9)


@given(distributions(), distributions())
def test_an_opinion_without_weight_leaves_the_own_answer_as_it_is(own: Floats, below: Floats) -> None:
    fused = fuse(own, LABELS, 1.0, [(0.0, opinion(below, LABELS))])
    np.testing.assert_array_equal(fused.probabilities, own)
    assert not fused.counted.any()


@given(distributions(), distributions(), weights, weights)
def test_fused_rows_are_distributions(own: Floats, below: Floats, mine: float, theirs: float) -> None:
    fused = fuse(own, LABELS, mine, [(theirs, opinion(below, LABELS)), (theirs, opinion(own, LABELS))]).probabilities
    assert (fused >= 0).all()
    np.testing.assert_allclose(fused.sum(axis=1), 1.0)


@given(distributions(), distributions(), weights, weights)
def test_it_is_the_weighted_product(own: Floats, below: Floats, mine: float, theirs: float) -> None:
    told = opinion(below, LABELS)
    product = np.maximum(own, FLOOR) ** mine * np.maximum(told.values.astype(float), FLOOR) ** theirs
    fused = fuse(own, LABELS, mine, [(theirs, told)])
    expected = product / product.sum(axis=1, keepdims=True) if theirs else own
    np.testing.assert_allclose(fused.probabilities, expected, rtol=1e-9)


@given(distributions(rows=6), distributions(rows=6), st.permutations(range(6)))
def test_a_row_does_not_depend_on_those_beside_it(own: Floats, below: Floats, order: list[int]) -> None:
    rows = np.array(order[:3], dtype=np.intp)
    whole = fuse(own, LABELS, 1.0, [(1.0, opinion(below, LABELS))]).probabilities
    some = fuse(own[rows], LABELS, 1.0, [(1.0, opinion(below, LABELS).of_rows(rows))]).probabilities
    np.testing.assert_allclose(some, whole[rows], rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_row_of_an_opinion_that_is_no_distribution_does_not_count(bad: float) -> None:
    own = np.array([[0.7, 0.3], [0.7, 0.3], [0.7, 0.3]])
    told = Opinion(("a", "b"), np.array([[bad, 0.5], [0.0, 0.0], [0.1, 0.9]], dtype=np.float16))
    fused = fuse(own, ("a", "b"), 1.0, [(1.0, told)])
    np.testing.assert_array_equal(fused.counted[:, 0], [False, False, True])
    np.testing.assert_array_equal(fused.probabilities[:2], own[:2])
    assert fused.probabilities[2].argmax() == 1


@pytest.mark.parametrize("row", [[np.nan, 0.5], [0.0, 0.0], [np.inf, 0.1]])
def test_an_own_row_that_says_nothing_is_never_confident_whatever_others_say(row: list[float]) -> None:
    fused = fuse(np.array([row]), ("a", "b"), 1.0, [(1.0, opinion(np.array([[0.9, 0.1]]), ("a", "b")))])
    assert np.isnan(fused.probabilities).all()


def test_an_expert_that_gives_a_label_no_chance_does_not_rule_it_out() -> None:
    told = opinion(np.array([[1.0, 0.0]]), ("a", "b"))
    fused = fuse(np.array([[1e-9, 1.0]]), ("a", "b"), 2.0, [(1.0, told)]).probabilities
    assert fused.argmax() == 1
    assert np.isfinite(fused).all()


def test_labels_that_an_expert_does_not_know_get_what_it_leaves_and_those_only_it_knows_are_dropped() -> None:
    told = Opinion(("x", "b"), np.array([[0.5, 0.25]], dtype=np.float16))
    fused = fuse(np.full((1, 3), 1 / 3), ("a", "b", "c"), 1.0, [(1.0, told)]).probabilities
    np.testing.assert_allclose(fused, [[0.25, 0.5, 0.25]])


def test_of_many_classes_the_likeliest_are_told_and_the_rest_share_what_is_left() -> None:
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(1000, 0.02), size=7)
    labels = [f"n{index}" for index in range(1000)]
    told = opinion(p, labels)
    assert told.values.shape == (7, MAX_NAMED)
    fused = fuse(np.full((7, 1000), 1e-3), labels, 1.0, [(1.0, told)]).probabilities
    np.testing.assert_array_equal(fused.argmax(axis=1), p.argmax(axis=1))
    kept = np.sort(p, axis=1)[:, -MAX_NAMED:].sum(axis=1)
    np.testing.assert_allclose(np.sort(fused, axis=1)[:, -MAX_NAMED:].sum(axis=1), kept, atol=2e-3)
    unnamed = fuse(np.full((7, 1000), 1e-3), (), 1.0, [(1.0, opinion(p))]).probabilities
    np.testing.assert_allclose(unnamed, fused)


def test_models_that_name_no_labels_are_matched_by_number_and_never_with_those_that_do() -> None:
    own = np.array([[0.6, 0.4]])
    told = opinion(np.array([[0.1, 0.9]]))
    assert fuse(own, (), 1.0, [(1.0, told)]).probabilities.argmax() == 1
    assert not fuse(own, ("a", "b"), 1.0, [(1.0, told)]).counted.any()


def test_scores_that_do_not_sum_to_one_are_told_as_shares() -> None:
    told = opinion(np.array([[0.9, 0.9, -0.1], [0.0, -0.1, 0.0], [np.nan, 1.0, 0.0]]))
    np.testing.assert_allclose(told.values[0], [0.5, 0.5, 0.0])
    assert np.isnan(told.values[1:]).all()


def test_opinions_of_another_number_of_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="an opinion of 2 rows: expected 1"):
        fuse(np.ones((1, 2)), (), 1.0, [(1.0, opinion(np.ones((2, 2))))])
