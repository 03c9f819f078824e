"""Fusing a tier's answer with those from below, where that makes the certified cascade cheaper (tuning split).

Weights of a product of experts are fitted by the likelihood of the top's labels, which is concave in them. What a fused
answer loses depends on the pairs that it was fused of, so only the joint form, which names them, can certify it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from upriver.fusion import FLOOR, Opinion, fuse, opinion
from upriver.policies import Form, Fusion
from upriver.scores import Floats, ScoreKind, class_features, probabilities
from upriver_control.calibration.inputs import CalibrationInput
from upriver_control.calibration.labels import columns_of, label_names
from upriver_control.calibration.plan import typical_cost
from upriver_control.calibration.prepared import Prepared, judged, ladder_of, standard_labels

_LEAST_WEIGHT: Final = 0.01
"""Below that an answer is not worth sending."""
_LEAST_GAIN: Final = 0.05
"""By so much the cost per question must fall on the tuning split."""
_KINDS: Final = (ScoreKind.MAX_PROBABILITY, ScoreKind.MARGIN, ScoreKind.ENTROPY)
"""Fused answers are probabilities that add up to 1: their energy says nothing."""


def fuse_where_it_pays(given: CalibrationInput, tiers: Sequence[Prepared]) -> list[Prepared]:
    """The tiers, those replaced that fuse; from the bottom up, each with all below it or with the lowest alone."""
    chosen = list(tiers)
    if not given.fuse or given.target.form is not Form.JOINT or not len(given.tune):
        return chosen
    cost = _cost(given, chosen)
    for at in range(1, len(tiers)):
        if not tiers[at].outputs.classifies:
            continue
        for experts in sorted({tuple(range(at)), (0,)}, key=len):
            candidate = _fused(given, tiers, at, experts)
            if candidate is None:
                continue
            with_it = [*chosen[:at], candidate, *chosen[at + 1 :]]
            its_cost = _cost(given, with_it)
            if its_cost < cost * (1.0 - _LEAST_GAIN):
                chosen, cost = with_it, its_cost
    return chosen


def fit_weights(own: Floats, experts: Sequence[Floats], right: NDArray[np.intp]) -> tuple[float, list[float]]:
    """Weights of at least 0 that make the right columns, [rows] (-1: unknown), most likely under the product.

    `own` and each of `experts` are probabilities [rows, classes] over the same classes. Rows of which one says nothing
    are left out; with none left, the own answer has all the weight.
    """
    logs = np.log(np.maximum(np.stack([own, *experts]), FLOOR))
    usable = np.isfinite(np.stack([own, *experts])).all(axis=(0, 2)) & (right >= 0)
    start = np.array([1.0, *[0.0] * len(experts)])
    if not usable.any():
        return 1.0, [0.0] * len(experts)
    logs, rows = logs[:, usable], np.arange(int(usable.sum()))
    true = logs[:, rows, right[usable]]

    def loss(weights: Floats) -> tuple[float, Floats]:
        total = np.tensordot(weights, logs, axes=1)
        norm = logsumexp(total, axis=1)
        expected = (np.exp(total - norm[:, np.newaxis]) * logs).sum(axis=2)
        return float((norm - weights @ true).mean()), (expected - true).mean(axis=1)

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 20.0)] * len(start)).x
    return float(found[0]), [float(weight) for weight in found[1:]]


def _fused(given: CalibrationInput, tiers: Sequence[Prepared], at: int, experts: Sequence[int]) -> Prepared | None:
    """The tier with the answers of some below, None when their weights are nothing."""
    tier = tiers[at]
    told = {expert: said for expert in experts if (said := _opinion(tiers[expert])) is not None}
    digests = [tiers[expert].outputs.speaker for expert in told]
    if not told or len(set(digests)) < len(digests) or any(bool(o.labels) != _named(tier) for o in told.values()):
        return None
    own, labels = _probabilities(tier), tier.outputs.answered.labels
    alone = [fuse(own, labels, 0.0, [(1.0, said)]).probabilities for said in told.values()]
    columns = columns_of(standard_labels(given)[given.tune], label_names(tier.outputs.answered))
    own_weight, weights = fit_weights(own[given.tune], [each[given.tune] for each in alone], columns)
    kept = [(weight, expert) for weight, expert in zip(weights, told, strict=True) if round(weight, 4) >= _LEAST_WEIGHT]
    if not kept:
        return None
    rounded = [(round(weight, 4), expert) for weight, expert in kept]
    joined = fuse(own, labels, round(own_weight, 4), [(weight, told[expert]) for weight, expert in rounded])
    features = class_features(_KINDS, joined.probabilities, are_logits=False)
    complete = joined.counted.all(axis=1)  # an agent is never sure of a row for which an answer is missing
    features = {kind: np.where(complete, values, -np.inf) for kind, values in features.items()}
    answered = replace(tier.outputs.answered, scores=joined.probabilities)
    outputs = replace(tier.outputs, answered=answered, are_logits=False)
    fusion = Fusion(round(own_weight, 4), {tiers[expert].outputs.speaker: weight for weight, expert in rounded})
    made = judged(given, outputs, features, tier.scored.temperature)
    return replace(made, fusion=fusion, experts=frozenset(expert for _, expert in rounded))


def _probabilities(tier: Prepared) -> Floats:
    scores = tier.outputs.answered.scores
    if scores is None:
        raise ValueError(f"{tier.outputs.tier}: only classifiers are fused")
    return probabilities(scores, are_logits=tier.outputs.are_logits, temperature=tier.scored.temperature)


def _opinion(tier: Prepared) -> Opinion | None:
    """What the tier says of all questions, as it travels; None when it is no classifier."""
    if not tier.outputs.classifies or tier.outputs.answered.scores is None:
        return None
    return opinion(_probabilities(tier), tier.outputs.answered.labels)


def _named(tier: Prepared) -> bool:
    return bool(tier.outputs.answered.labels)


def _cost(given: CalibrationInput, tiers: Sequence[Prepared]) -> float:
    active = [tier.preflight.fit for tier in tiers]
    tuning = ladder_of(tiers, given.tune, given.costs)
    return typical_cost(tuning, active, len(given.calibrate), given.target)
