"""Fits the risk of disagreement: logistic on a tier's confidences, then a rising map made of lines (tuning split).

Isotonic regression gives steps, and all questions of a step would have one risk: thresholds could only be set between
steps. Centred isotonic regression (Oron and Flournoy 2017) draws lines between the steps' centres instead, so that the
risk rises wherever the data lets it.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from upriver.risk import MAX_KNOTS, RiskModel
from upriver.scores import Floats, ScoreKind

Flags = NDArray[np.bool_]
Knots = tuple[tuple[float, float], ...]
LEAST_EACH: Final = 8
"""With fewer disagreements (or agreements) than that, weights would be guesses: there is no risk model then."""
_ADDED: Final = 1.0
"""Losses that are added to a step without any: none seen is not none there (Jeffreys)."""


def fit_risk(features: Mapping[ScoreKind, Floats], wrong: Flags) -> RiskModel | None:
    """The risk model of one tier from confidences, each [rows], and where it disagrees with the top, [rows].

    Rows with a confidence that is not finite are left out. None when too little is left, or confidences don't vary.
    """
    usable = np.logical_and.reduce([np.isfinite(values) for values in features.values()])
    varying = {kind: values[usable] for kind, values in features.items() if len(np.unique(values[usable])) > 1}
    bad = wrong[usable]
    if not varying or min(int(bad.sum()), int((~bad).sum())) < LEAST_EACH:
        return None
    table = np.column_stack(list(varying.values()))
    centre, spread = table.mean(axis=0), table.std(axis=0)
    if not (spread > 0).all():
        return None
    fitted = LogisticRegression(max_iter=1000).fit((table - centre) / spread, bad)
    weights = fitted.coef_[0] / spread
    intercept = float(fitted.intercept_[0] - weights @ centre)
    u = _linear(table, weights, intercept)
    named = tuple((kind, float(weight)) for kind, weight in zip(varying, weights, strict=True))
    return RiskModel(named, intercept, fit_map(u, bad))


def fit_map(u: Floats, wrong: Flags) -> Knots:
    """The rising map from u, [rows] finite, to the share that disagrees: knots (u, risk); see the module."""
    if not len(u):
        return ((0.0, 1.0),)
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(u, wrong.astype(np.float64)).predict(u)
    levels, block, sizes = np.unique(fitted, return_inverse=True, return_counts=True)
    centres = np.bincount(block, weights=u) / sizes
    risks = levels.copy()
    if risks[0] == 0.0:
        following = risks[1] / 2 if len(risks) > 1 else 1.0
        risks[0] = min(_ADDED / (sizes[0] + 1.0), following)
    at = np.concatenate([[u.min()], centres, [u.max()]])
    risk = np.concatenate([[risks[0] / 10], risks, [(risks[-1] + 1.0) / 2]])
    return _knots(at, risk)


def risk_of(knots: Knots, u: Floats) -> Floats:
    """The map's value at u, [rows]; never below its lowest, NaN for NaN."""
    table = np.asarray(knots, dtype=np.float64)
    risk: Floats = np.interp(u, table[:, 0], table[:, 1])
    return risk


def _linear(table: Floats, weights: Floats, intercept: float) -> Floats:
    """Adds up in the kernel's order, so that equal rows get equal numbers here and there."""
    u = np.full(len(table), intercept)
    for column, weight in zip(table.T, weights, strict=True):
        u = u + weight * column
    return u


def _knots(at: Floats, risk: Floats) -> Knots:
    """At most MAX_KNOTS knots that rise in both; of several at one place the last one stays."""
    keep = np.concatenate([at[1:] > at[:-1], [True]])
    at, risk = at[keep], risk[keep]
    if len(at) > MAX_KNOTS:
        chosen = np.unique(np.linspace(0, len(at) - 1, MAX_KNOTS).round().astype(np.intp))
        at, risk = at[chosen], risk[chosen]
    return tuple(zip(at.tolist(), np.clip(risk, 0.0, 1.0).tolist(), strict=True))
