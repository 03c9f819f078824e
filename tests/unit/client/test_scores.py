"""How sure a model is, for every kind of score and every kind of trouble in it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from upriver.scores import (
    BOX_KINDS,
    CLASS_KINDS,
    ScoreKind,
    box_confidences,
    class_features,
    confidences,
    probabilities,
    scalar_confidences,
)

kinds = st.sampled_from(sorted(CLASS_KINDS))
temperatures = st.floats(0.05, 20.0)
shapes = npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)
any_scores = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6))
)
logits = npst.arrays(np.float64, shapes, elements=st.floats(-50, 50))


@given(kinds, any_scores, st.booleans(), st.floats(1e-3, 1e3))
def test_a_confidence_is_finite_or_never_confident(
    kind: ScoreKind, scores: NDArray[Any], are_logits: bool, temperature: float
) -> None:
    with np.errstate(over="ignore"):
        result = confidences(kind, scores, are_logits=are_logits, temperature=temperature)
    assert result.shape == (scores.shape[0],)
    assert result.dtype == np.float64
    assert not np.isnan(result).any()
    assert not np.isposinf(result).any()


@given(kinds, logits, st.booleans(), temperatures, st.randoms(use_true_random=False))
def test_the_order_of_the_classes_does_not_matter(
    kind: ScoreKind, scores: NDArray[Any], are_logits: bool, temperature: float, random: Any
) -> None:
    if not are_logits:
        scores = probabilities(scores, are_logits=True)
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    expected = confidences(kind, scores, are_logits=are_logits, temperature=temperature)
    shuffled = confidences(kind, scores[:, order], are_logits=are_logits, temperature=temperature)
    np.testing.assert_allclose(shuffled, expected, rtol=1e-9, atol=1e-9)


@given(kinds, logits, temperatures)
def test_a_row_is_scored_as_if_it_were_alone(kind: ScoreKind, scores: NDArray[Any], temperature: float) -> None:
    p = probabilities(scores, are_logits=True)
    for t in (1.0, temperature):
        together = confidences(kind, p, are_logits=False, temperature=t)
        alone = [confidences(kind, p[i : i + 1], are_logits=False, temperature=t)[0] for i in range(len(p))]
        np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12)


@given(kinds, logits, st.data())
def test_a_row_with_nan_or_overflow_is_never_confident_and_spoils_no_other(
    kind: ScoreKind, scores: NDArray[Any], data: st.DataObject
) -> None:
    clean = confidences(kind, scores, are_logits=True)
    row = data.draw(st.integers(0, scores.shape[0] - 1))
    column = data.draw(st.integers(0, scores.shape[1] - 1))
    broken = scores.copy()
    broken[row, column] = data.draw(st.sampled_from([math.nan, math.inf]))
    result = confidences(kind, broken, are_logits=True)
    assert result[row] == -math.inf
    np.testing.assert_array_equal(np.delete(result, row), np.delete(clean, row))
    p = probabilities(scores, are_logits=True)
    p[row, column] = math.nan
    assert confidences(kind, p, are_logits=False)[row] == -math.inf
    assert confidences(kind, p[row : row + 1], are_logits=False)[0] == -math.inf


@given(logits, temperatures)
def test_logits_and_their_probabilities_agree(scores: NDArray[Any], temperature: float) -> None:
    direct = probabilities(scores, are_logits=True, temperature=temperature)
    np.testing.assert_allclose(direct.sum(axis=1), 1.0)
    by_way = probabilities(probabilities(scores, are_logits=True), are_logits=False, temperature=temperature)
    np.testing.assert_allclose(by_way, direct, rtol=1e-6, atol=1e-9)


@given(logits, temperatures)
def test_bounds_of_the_kinds(scores: NDArray[Any], temperature: float) -> None:
    classes = scores.shape[1]

    def of(kind: ScoreKind) -> NDArray[Any]:
        return confidences(kind, scores, are_logits=True, temperature=temperature)

    largest, margin = of(ScoreKind.MAX_PROBABILITY), of(ScoreKind.MARGIN)
    assert (largest >= 1 / classes - 1e-9).all()
    assert (largest <= 1 + 1e-9).all()
    assert (margin <= largest + 1e-9).all()
    assert (margin >= 0).all()
    entropy = of(ScoreKind.ENTROPY)
    assert (entropy >= -1 - 1e-9).all()
    assert (entropy <= 1e-9).all()
    energy = of(ScoreKind.ENERGY)
    assert (energy >= scores.max(axis=1) - 1e-9).all()
    assert (energy <= scores.max(axis=1) + temperature * math.log(classes) + 1e-9).all()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ScoreKind.MAX_PROBABILITY, 0.75),
        (ScoreKind.MARGIN, 0.5),
        (ScoreKind.ENTROPY, (0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(3)),
        (ScoreKind.ENERGY, 0.0),
    ],
)
def test_a_zero_probability_counts_for_nothing(kind: ScoreKind, expected: float) -> None:
    scores = np.array([[0.75, 0.0, 0.25]])
    assert confidences(kind, scores, are_logits=False)[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ScoreKind.MAX_PROBABILITY, 1.0),
        (ScoreKind.MARGIN, 1.0),
        (ScoreKind.ENTROPY, 0.0),
        (ScoreKind.ENERGY, 3.0),
    ],
)
def test_one_class_is_as_sure_as_can_be(kind: ScoreKind, expected: float) -> None:
    assert confidences(kind, np.array([[3.0]]), are_logits=True)[0] == expected


@pytest.mark.parametrize("kind", sorted(CLASS_KINDS))
def test_a_class_masked_with_minus_infinity_leaves_the_others_as_they_are(kind: ScoreKind) -> None:
    masked = confidences(kind, np.array([[2.0, 1.0, -np.inf]]), are_logits=True)
    far = confidences(kind, np.array([[2.0, 1.0, -1e4]]), are_logits=True)
    np.testing.assert_allclose(masked, far)
    assert confidences(kind, np.array([[-np.inf, -np.inf]]), are_logits=True)[0] == -math.inf


def test_a_negative_probability_from_dequantisation_is_taken_as_zero() -> None:
    scores = np.array([[0.75, -0.004, 0.25]], dtype=np.float32)
    for kind in sorted(CLASS_KINDS):
        zero = confidences(kind, np.maximum(scores, 0), are_logits=False, temperature=2.0)
        assert confidences(kind, scores, are_logits=False, temperature=2.0)[0] == pytest.approx(zero[0])


@pytest.mark.parametrize(
    ("kind", "shape", "temperature"),
    [
        (ScoreKind.MARGIN, (3,), 1.0),
        (ScoreKind.MAX_PROBABILITY, (1, 2, 2), 1.0),
        (ScoreKind.MARGIN, (1, 2), 0.0),
        (ScoreKind.MARGIN, (1, 2), math.nan),
        (ScoreKind.BEST_BOX, (1, 2), 1.0),
    ],
)
def test_what_is_no_classifiers_score_is_refused(kind: ScoreKind, shape: tuple[int, ...], temperature: float) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        confidences(kind, np.zeros(shape), are_logits=True, temperature=temperature)


def test_scalar_outputs_are_their_own_confidence() -> None:
    values = np.array([[0.5], [math.nan], [math.inf], [-3.0]], dtype=np.float32)
    np.testing.assert_array_equal(scalar_confidences(values), [0.5, -math.inf, -math.inf, -3.0])
    with pytest.raises(ValueError, match="one value per row"):
        scalar_confidences(np.zeros((2, 3)))


def test_boxes_by_share_and_by_best() -> None:
    boxes = np.array([[0.9, 0.6, 0.2, 0.1], [0.4, 0.3, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9]], dtype=np.float32)
    counts = np.array([4, 2, 0], dtype=np.float32)
    np.testing.assert_allclose(box_confidences(ScoreKind.BOX_SHARE, boxes, counts, 0.5), [0.5, 0.0, 0.0])
    np.testing.assert_allclose(box_confidences(ScoreKind.BEST_BOX, boxes, counts, 0.5), [0.9, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(box_confidences(ScoreKind.BOX_SHARE, boxes, None, 0.5), [0.5, 0.5, 1.0])


@given(
    st.sampled_from(sorted(BOX_KINDS)),
    npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5)),
    st.floats(0, 1),
    st.data(),
)
def test_box_confidence_is_finite_or_never_confident(
    kind: ScoreKind, boxes: NDArray[Any], threshold: float, data: st.DataObject
) -> None:
    counts = data.draw(st.none() | npst.arrays(np.float64, (boxes.shape[0],)))
    result = box_confidences(kind, boxes, counts, threshold)
    assert result.shape == (boxes.shape[0],)
    assert (np.isfinite(result) | np.isneginf(result)).all()
    assert (result[np.isfinite(result)] >= 0).all()


def test_a_nan_among_the_real_boxes_is_never_confident() -> None:
    boxes = np.array([[0.9, math.nan], [0.9, math.nan]])
    result = box_confidences(ScoreKind.BEST_BOX, boxes, np.array([2, 1]), 0.5)
    np.testing.assert_array_equal(result, [-math.inf, 0.9])


odd = st.one_of(st.floats(-30, 30), st.sampled_from([math.nan, math.inf, -math.inf, 0.0]))


@given(npst.arrays(np.float32, st.tuples(st.just(1), st.integers(2, 12)), elements=st.floats(-30, 30, width=32)), odd)
def test_one_row_alone_has_the_features_that_it_has_in_a_batch(row: NDArray[Any], strange: float) -> None:
    kinds = sorted(CLASS_KINDS)
    for are_logits, temperature in ((True, 1.0), (True, 1.7), (False, 1.0), (False, 0.6)):
        for scores in (row, np.abs(row) / 30, np.where(np.arange(row.shape[1]) == 1, np.float32(strange), row)):
            with np.errstate(all="ignore"):
                alone = class_features(kinds, scores, are_logits=are_logits, temperature=temperature)
                together = class_features(
                    kinds, np.repeat(scores, 2, axis=0), are_logits=are_logits, temperature=temperature
                )
            for kind in kinds:
                single = confidences(kind, scores, are_logits=are_logits, temperature=temperature)
                np.testing.assert_array_equal(together[kind][:1], single)
                np.testing.assert_allclose(alone[kind], single, rtol=1e-12, atol=1e-13)


def test_features_are_refused_like_confidences() -> None:
    with pytest.raises(ValueError, match="positive finite temperature"):
        class_features([ScoreKind.MARGIN], np.ones((1, 3)), are_logits=True, temperature=0.0)
