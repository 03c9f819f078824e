"""How likely the top of the ladder would answer otherwise: a small model over the scores, fitted at calibration.

The linear predictor u = intercept + Σ weight·feature is mapped to a risk by a rising piecewise-linear function.
Confidence is 1 - risk: the estimated probability that the top agrees. It means the same in every version, so that a
caller's `upriver.min_confidence` does too.

Sources: logistic regression on confidence features, then isotonic regression (Zadrozny and Elkan 2002).
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.scores import BOX_KINDS, CLASS_KINDS, Floats, ScoreKind, class_features, is_few, row_features

MAX_KNOTS: Final = 64
_FEATURE_SETS: Final = (CLASS_KINDS, BOX_KINDS, frozenset({ScoreKind.SCALAR}))


@dataclass(frozen=True, slots=True)
class RiskModel:
    """P(another answer than the top's), from a row's scores.

    `weights` are of features, which are scores of other kinds; `knots` are (u, risk), both rising, risk in [0, 1]:
    straight lines between them, level beyond the first and the last.
    """

    weights: tuple[tuple[ScoreKind, float], ...]
    intercept: float
    knots: tuple[tuple[float, float], ...]

    @property
    def features(self) -> tuple[ScoreKind, ...]:
        """The kinds of score that it reads, in order."""
        return tuple(kind for kind, _ in self.weights)


def problems_of(model: RiskModel) -> list[str]:
    """Everything that is wrong with a model; empty when it can be used."""
    problems = []
    kinds = frozenset(model.features)
    if not kinds or len(kinds) != len(model.weights) or not any(kinds <= known for known in _FEATURE_SETS):
        told = ", ".join(model.features) or "nothing"
        problems.append(f"risk.weights are of {told}: expected kinds of score of one task, each once")
    if not all(math.isfinite(number) for number in (model.intercept, *(weight for _, weight in model.weights))):
        problems.append("risk.weights and risk.intercept: expected finite numbers")
    if not 1 <= len(model.knots) <= MAX_KNOTS:
        problems.append(f"risk.knots has {len(model.knots)}: expected 1 to {MAX_KNOTS}")
    numbers = [number for knot in model.knots for number in knot]
    if not all(math.isfinite(number) for number in numbers) or not all(0.0 <= risk <= 1.0 for _, risk in model.knots):
        problems.append("risk.knots: expected pairs of a finite number and a risk from 0 to 1")
    elif any(
        left[0] >= right[0] or left[1] > right[1] for left, right in zip(model.knots, model.knots[1:], strict=False)
    ):
        problems.append("risk.knots: expected both numbers to rise from each knot to the next")
    return problems


def risk_confidences(model: RiskModel, features: Mapping[ScoreKind, Floats]) -> Floats:
    """Confidence per row, [rows] in [0, 1], of `features`, each [rows]; -inf where a feature is not finite."""
    if len(next(iter(features.values()))) == 1:
        return np.array((_one(model, [features[kind].item() for kind in model.features]),), dtype=np.float64)
    u = np.full(len(next(iter(features.values()))), model.intercept)
    for kind, weight in model.weights:
        u = u + weight * np.where(np.isfinite(features[kind]), features[kind], math.nan)
    at, risk = _columns(model.knots)
    with np.errstate(invalid="ignore"):
        confidence: Floats = 1.0 - np.interp(u, at, risk)
    return np.where(np.isfinite(u), confidence, -math.inf)


def class_risk_confidences(model: RiskModel, scores: NDArray[Any], *, are_logits: bool, temperature: float) -> Floats:
    """`risk_confidences` of a classifier's scores, [rows, classes]; one row of few classes makes no array but the last.

    Raises ValueError as `upriver.scores.confidences` does.
    """
    if is_few(scores) and 0.0 < temperature < math.inf:
        found = row_features(scores[0].tolist(), are_logits=are_logits, temperature=temperature)
        return np.array((_one(model, [found[kind] for kind in model.features]),), dtype=np.float64)
    return risk_confidences(
        model, class_features(model.features, scores, are_logits=are_logits, temperature=temperature)
    )


def _one(model: RiskModel, features: Sequence[float]) -> float:
    """The same for one row in plain Python, which is several times faster for one row."""
    u = model.intercept
    for (_, weight), value in zip(model.weights, features, strict=True):
        u += weight * value
    if not math.isfinite(u):
        return -math.inf
    knots = model.knots
    above = bisect_right(knots, u, key=_first)
    if above == 0:
        return 1.0 - knots[0][1]
    if above == len(knots):
        return 1.0 - knots[-1][1]
    (left, low), (right, high) = knots[above - 1], knots[above]
    return 1.0 - ((high - low) / (right - left) * (u - left) + low)


def _first(knot: tuple[float, float]) -> float:
    return knot[0]


def _columns(knots: Sequence[tuple[float, float]]) -> tuple[NDArray[Any], NDArray[Any]]:
    table = np.asarray(knots, dtype=np.float64)
    return table[:, 0], table[:, 1]
