"""Which confidence a tier is to be judged by: its plain ones, or the risk model made of them (tuning split)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from upriver.risk import RiskModel, risk_confidences
from upriver.scores import Floats, ScoreKind, class_features
from upriver_control.calibration.inputs import Rows, TierOutputs
from upriver_control.calibration.risk_fit import Flags, fit_map, fit_risk, risk_of

_FOLDS: Final = 5
_BUDGETS: Final = (0.25, 0.5, 1.0)
"""Scores are compared at these shares of the loss that is allowed."""
_BETTER: Final = 0.002
"""A risk model must answer that much more of all questions than the best plain confidence to be worth carrying."""
PLAIN: Final = (ScoreKind.MAX_PROBABILITY, ScoreKind.MARGIN, ScoreKind.ENTROPY, ScoreKind.ENERGY)


@dataclass(frozen=True, slots=True)
class Scored:
    """One tier under its chosen score: `confidence` and `risk` of all questions, [rows]; -inf and NaN: never."""

    kind: ScoreKind
    temperature: float
    model: RiskModel | None
    confidence: Floats
    risk: Floats


def features_of(tier: TierOutputs, temperature: float) -> dict[ScoreKind, Floats]:
    """Every confidence that a tier has, each [rows], as its agent computes them."""
    scores = tier.answered.scores
    if not tier.classifies or scores is None:
        return dict(tier.confidences)
    return class_features(PLAIN, scores, are_logits=tier.are_logits, temperature=temperature)


def choose_score(
    features: Mapping[ScoreKind, Floats], loses: Flags, tune: Rows, epsilon: float, temperature: float
) -> Scored:
    """The confidence under which the tier answers most at a loss of up to epsilon.

    `features` are of all questions, `loses` [rows] where its answer would be a loss. A risk model is judged on
    questions that it was not fitted on.
    """
    bad = loses[tune]
    tuning = {kind: values[tune] for kind, values in features.items()}
    merits = {kind: merit(values, bad, epsilon) for kind, values in tuning.items()}
    best = max(merits, key=merits.__getitem__)
    model = fit_risk(tuning, bad)
    if model is None or merit(_held_out(tuning, bad), bad, epsilon) < merits[best] + _BETTER:
        return _plain(best, features[best], loses, tune, temperature)
    confidence = risk_confidences(model, features)
    with np.errstate(invalid="ignore"):
        risk = np.where(np.isfinite(confidence), 1.0 - confidence, np.nan)
    return Scored(ScoreKind.RISK, temperature, model, confidence, risk)


def merit(confidence: Floats, loses: Flags, epsilon: float) -> float:
    """Mean share of questions that pass before losses are more than some shares of epsilon; [rows] each."""
    if not len(loses):
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    ends = np.append(ordered[1:] != ordered[:-1], True) & (ordered > -np.inf)  # thresholds split no block of equals
    passing = np.flatnonzero(ends) + 1
    losses = np.cumsum(loses[order])[ends]
    reached = [passing[losses <= share * epsilon * len(loses)].max(initial=0) for share in _BUDGETS]
    return float(np.mean(reached)) / len(loses)


def _plain(kind: ScoreKind, values: Floats, loses: Flags, tune: Rows, temperature: float) -> Scored:
    usable = np.isfinite(values[tune])
    knots = fit_map(-values[tune][usable], loses[tune][usable])
    with np.errstate(invalid="ignore"):
        risk = np.where(np.isfinite(values), risk_of(knots, -values), np.nan)
    return Scored(kind, temperature, None, values, risk)


def _held_out(features: Mapping[ScoreKind, Floats], loses: Flags) -> Floats:
    """Risk confidences of questions by models that were fitted on the others; -inf where none could be."""
    rows = len(loses)
    confidence = np.full(rows, -np.inf)
    for fold in range(_FOLDS):
        held = np.arange(rows) % _FOLDS == fold
        model = fit_risk({kind: values[~held] for kind, values in features.items()}, loses[~held])
        if model is not None and held.any():
            confidence[held] = risk_confidences(model, {kind: values[held] for kind, values in features.items()})
    return confidence
