"""Risk: one row and many are the same, it rises with its predictor, and what is not finite is never confident."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.risk import RiskModel, class_risk_confidences, problems_of, risk_confidences
from upriver.scores import ScoreKind, confidences

MODEL = RiskModel(
    ((ScoreKind.MAX_PROBABILITY, -4.0), (ScoreKind.MARGIN, -2.0)), 3.0, ((-3.0, 0.0), (0.0, 0.25), (2.0, 0.75))
)
ROWS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8)


@given(ROWS)
def test_one_row_is_judged_as_it_is_among_many(rows: list[tuple[float, float]]) -> None:
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    together = risk_confidences(MODEL, dict(zip(MODEL.features, columns, strict=True)))
    alone = [
        risk_confidences(MODEL, {kind: np.array([v]) for kind, v in zip(MODEL.features, row, strict=True)}).item()
        for row in rows
    ]
    assert together.tolist() == pytest.approx(alone, abs=1e-12)


@given(ROWS)
def test_confidence_is_a_probability_and_falls_with_the_predictor(rows: list[tuple[float, float]]) -> None:
    top, margin = (np.array(column) for column in zip(*rows, strict=True))
    confidence = risk_confidences(MODEL, {ScoreKind.MAX_PROBABILITY: top, ScoreKind.MARGIN: margin})
    assert ((confidence >= 0) & (confidence <= 1)).all()
    order = np.argsort(3.0 - 4 * top - 2 * margin)
    assert (np.diff(confidence[order]) <= 1e-12).all()


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_feature_that_is_not_finite_is_never_confident(rows: int, bad: float) -> None:
    features = {ScoreKind.MAX_PROBABILITY: np.full(rows, 0.9), ScoreKind.MARGIN: np.full(rows, bad)}
    assert (risk_confidences(MODEL, features) == -math.inf).all()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (RiskModel((), 0.0, ((0.0, 0.0),)), "expected kinds"),
        (RiskModel(((ScoreKind.MARGIN, 1.0), (ScoreKind.BEST_BOX, 1.0)), 0.0, ((0.0, 0.0),)), "of one task"),
        (RiskModel(((ScoreKind.RISK, 1.0),), 0.0, ((0.0, 0.0),)), "expected kinds"),
        (RiskModel(((ScoreKind.MARGIN, math.nan),), 0.0, ((0.0, 0.0),)), "finite"),
        (RiskModel(((ScoreKind.MARGIN, 1.0),), 0.0, ()), "1 to 64"),
        (RiskModel(((ScoreKind.MARGIN, 1.0),), 0.0, ((0.0, 0.5), (1.0, 0.4))), "rise"),
        (RiskModel(((ScoreKind.MARGIN, 1.0),), 0.0, ((0.0, 1.5),)), "0 to 1"),
    ],
)
def test_what_is_wrong_with_a_model_is_told(model: RiskModel, problem: str) -> None:
    assert any(problem in told for told in problems_of(model))


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(("are_logits", "temperature"), [(True, 1.0), (True, 1.4), (False, 1.0), (False, 0.7)])
def test_a_classifier_is_judged_by_the_confidences_of_its_scores(
    rows: int, are_logits: bool, temperature: float
) -> None:
    scores = np.random.default_rng(rows).random((rows, 10)).astype(np.float32)
    features = {
        kind: confidences(kind, scores, are_logits=are_logits, temperature=temperature) for kind in MODEL.features
    }
    found = class_risk_confidences(MODEL, scores, are_logits=are_logits, temperature=temperature)
    np.testing.assert_allclose(found, risk_confidences(MODEL, features), rtol=1e-12)
