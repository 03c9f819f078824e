"""How sure a model is: from what it put out to one confidence per row, higher meaning surer.

Every confidence is a finite float64, or -inf for "never confident". A row whose scores say nothing (NaN, +inf, logits
that are all -inf, no columns) is never confident: a broken computation escalates instead of answering.

Sources: maximum probability (Hendrycks and Gimpel 2017), margin (Scheffer et al. 2001), entropy over log(classes)
(BranchyNet, Teerapittayanon et al. 2016), energy (Liu et al. 2020), temperature (Guo et al. 2017).
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FEW_CLASSES: Final = 64
"""Up to so many, one row is faster in plain Python than in NumPy."""


class ScoreKind(StrEnum):
    """What a policy compares with its threshold."""

    MAX_PROBABILITY = "max_probability"
    MARGIN = "margin"
    ENTROPY = "entropy"
    ENERGY = "energy"
    SCALAR = "scalar"
    BOX_SHARE = "box_share"
    BEST_BOX = "best_box"
    RISK = "risk"
    """1 - the estimated probability that the top would answer otherwise: see `upriver.risk`."""


CLASS_KINDS = frozenset({ScoreKind.MAX_PROBABILITY, ScoreKind.MARGIN, ScoreKind.ENTROPY, ScoreKind.ENERGY})
"""Kinds for models that classify: see `confidences`."""
BOX_KINDS = frozenset({ScoreKind.BOX_SHARE, ScoreKind.BEST_BOX})
"""Kinds for detectors: see `box_confidences`."""
_NEVER: Final = dict.fromkeys(CLASS_KINDS, -math.inf)


def confidences(kind: ScoreKind, scores: NDArray[Any], *, are_logits: bool, temperature: float = 1.0) -> Floats:
    """Confidence per row, [rows], of a classifier's scores, [rows, classes]; `kind` is one of CLASS_KINDS.

    - max_probability: the largest p, in [0, 1].
    - margin: the largest p less the second largest; with one class, p.
    - entropy: sum(p log p) / log(classes), in [-1, 0]; with one class, 0.
    - energy: T * log(sum(exp(z / T))); probabilities are taken as logits log(p).

    Raises ValueError for scores that are not two-dimensional, a temperature that is not positive, or another kind.
    """
    if (
        kind is ScoreKind.MAX_PROBABILITY
        and not are_logits
        and temperature == 1.0
        and scores.ndim == 2
        and scores.shape[0] == 1
        and scores.shape[1]
    ):  # one row, ready-made probabilities: a tenth of the general path's time (argmax finds a NaN first)
        largest = scores.item(scores.argmax())
        return np.array((largest if math.isfinite(largest) else -math.inf,), dtype=np.float64)
    if scores.ndim != 2 or not 0 < temperature < math.inf or kind not in CLASS_KINDS:
        raise ValueError(
            f"confidences of kind {kind!r} for scores of shape {scores.shape} at temperature {temperature}: expected "
            f"one of {', '.join(sorted(CLASS_KINDS))}, [rows, classes] and a positive finite temperature"
        )
    if not scores.shape[1]:
        return np.full(scores.shape[0], -math.inf)
    if kind is ScoreKind.ENERGY:
        return _finite(_energy(_as_logits(scores, are_logits), temperature))
    return _of_probabilities(kind, probabilities(scores, are_logits=are_logits, temperature=temperature))


def class_features(
    kinds: Sequence[ScoreKind], scores: NDArray[Any], *, are_logits: bool, temperature: float = 1.0
) -> dict[ScoreKind, Floats]:
    """Several kinds of confidence at once, each [rows]; see `confidences`, which says the same to rounding."""
    if is_few(scores) and 0.0 < temperature < math.inf:
        found = row_features(scores[0].tolist(), are_logits=are_logits, temperature=temperature)
        return {kind: np.array((found[kind],), dtype=np.float64) for kind in kinds}
    shared = [kind for kind in kinds if kind is not ScoreKind.ENERGY]
    if len(shared) < 2 or scores.ndim != 2 or not scores.shape[1] or not 0.0 < temperature < math.inf:
        return {kind: confidences(kind, scores, are_logits=are_logits, temperature=temperature) for kind in kinds}
    p = probabilities(scores, are_logits=are_logits, temperature=temperature)
    made: dict[ScoreKind, Floats] = {kind: _of_probabilities(kind, p) for kind in shared}
    if ScoreKind.ENERGY in kinds:
        made[ScoreKind.ENERGY] = _finite(_energy(_as_logits(scores, are_logits), temperature))
    return made


def is_few(scores: NDArray[Any]) -> bool:
    """Whether scores are one row of at least two and not very many classes: see `row_features`."""
    return scores.ndim == 2 and scores.shape[0] == 1 and 1 < scores.shape[1] <= _FEW_CLASSES


def row_features(scores: Sequence[float], *, are_logits: bool, temperature: float) -> Mapping[ScoreKind, float]:
    """All of CLASS_KINDS for one row of at least two classes, in plain Python: for few classes a tenth of the time."""
    total = sum(scores)
    if math.isnan(total) or total == math.inf:
        return _NEVER
    if not are_logits and temperature == 1.0:
        return _as_they_are(scores)
    return _scaled(scores if are_logits else [math.log(p) if p > 0.0 else -math.inf for p in scores], temperature)


def _as_they_are(p: Sequence[float]) -> Mapping[ScoreKind, float]:
    """Of ready-made probabilities, which need not add up to exactly 1."""
    total = 0.0
    entropy = 0.0
    for one in p:
        if one > 0.0:
            total += one
            entropy += one * math.log(one)
    first, second = _two_largest(p)
    return {
        ScoreKind.MAX_PROBABILITY: first,
        ScoreKind.MARGIN: first - second if second > -math.inf else -math.inf,
        ScoreKind.ENTROPY: entropy / math.log(len(p)),
        ScoreKind.ENERGY: math.log(total) if total > 0.0 else -math.inf,
    }


def _scaled(logits: Sequence[float], temperature: float) -> Mapping[ScoreKind, float]:
    first, second = _two_largest(logits)
    if first == -math.inf:
        return _NEVER
    total = 0.0
    mean = 0.0
    for one in logits:
        if one > -math.inf:
            distance = (one - first) / temperature
            weight = math.exp(distance)
            total += weight
            mean += weight * distance
    log_total = math.log(total)
    return {
        ScoreKind.MAX_PROBABILITY: 1.0 / total,
        ScoreKind.MARGIN: (1.0 - math.exp((second - first) / temperature)) / total,
        ScoreKind.ENTROPY: (mean / total - log_total) / math.log(len(logits)),
        ScoreKind.ENERGY: first + temperature * log_total,
    }


def _two_largest(values: Sequence[float]) -> tuple[float, float]:
    *_, second, first = sorted(values)
    return first, second


def probabilities(scores: NDArray[Any], *, are_logits: bool, temperature: float = 1.0) -> Floats:
    """Softmax of logits / temperature; probabilities are rescaled as p^(1/T) / sum, and at T = 1 left as they are.

    Shapes: [rows, classes] to [rows, classes], float64. A row that has no probabilities (NaN, +inf, all logits -inf) is
    NaN throughout.
    """
    if not are_logits and temperature == 1.0:
        return scores.astype(np.float64)
    logits = _as_logits(scores, are_logits)
    if not logits.shape[1]:
        return logits
    with np.errstate(invalid="ignore"):  # inf - inf: such a row becomes NaN, as promised
        weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    total: Floats = weights / weights.sum(axis=1, keepdims=True)
    return total


def scalar_confidences(values: NDArray[Any]) -> Floats:
    """Confidence per row, [rows], of a model that names its own as one output, [rows] or [rows, 1]."""
    if values.size != values.shape[0]:
        raise ValueError(f"a scalar output of shape {values.shape}: expected one value per row")
    return _finite(values.reshape(-1).astype(np.float64))


def box_confidences(
    kind: ScoreKind, box_scores: NDArray[Any], counts: NDArray[Any] | None, box_threshold: float
) -> Floats:
    """Confidence per row, [rows], of a detector's boxes, scores [rows, boxes]; `kind` is one of BOX_KINDS.

    `counts`, [rows], says how many leading boxes of a row are real; None: all of them. No real box is 0.0: an empty
    scene is no evidence of being right about it.

    - box_share: the share of real boxes whose score is at least `box_threshold`.
    - best_box: the best score among those boxes, 0.0 when none reaches `box_threshold`.
    """
    if box_scores.ndim != 2 or kind not in BOX_KINDS or math.isnan(box_threshold):
        raise ValueError(
            f"box confidences of kind {kind!r} for scores of shape {box_scores.shape} above {box_threshold}: expected "
            f"one of {', '.join(sorted(BOX_KINDS))}, [rows, boxes] and a number"
        )
    rows, boxes = box_scores.shape
    counted = np.full(rows, boxes, dtype=np.float64) if counts is None else counts.reshape(rows).astype(np.float64)
    real = np.arange(boxes) < counted[:, np.newaxis]
    values = box_scores.astype(np.float64)
    good = real & (values >= box_threshold)
    if kind is ScoreKind.BOX_SHARE:
        result: Floats = good.sum(axis=1) / np.maximum(real.sum(axis=1), 1)
    else:
        result = np.where(good, values, 0.0).max(axis=1, initial=0.0)
    broken = np.isnan(counted) | (real & ~np.isfinite(values)).any(axis=1)
    return np.where(broken, -math.inf, result)


def _as_logits(scores: NDArray[Any], are_logits: bool) -> Floats:
    """Logits as float64; those of probabilities are log p, with a p below 0 (dequantisation) taken as 0."""
    values: Floats = scores.astype(np.float64)
    if are_logits:
        return values
    with np.errstate(divide="ignore"):
        logits: Floats = np.log(np.maximum(values, 0.0))
    return logits


def _of_probabilities(kind: ScoreKind, p: Floats) -> Floats:
    if kind is ScoreKind.MAX_PROBABILITY:
        return _finite(p.max(axis=1))
    if kind is ScoreKind.MARGIN:
        return _finite(_margin(p))
    return _finite(_negative_entropy(p))


def _energy(logits: Floats, temperature: float) -> Floats:
    largest = logits.max(axis=1)
    with np.errstate(invalid="ignore"):
        weights = np.exp((logits - largest[:, np.newaxis]) / temperature)
    energy: Floats = largest + temperature * np.log(weights.sum(axis=1))
    return energy


def _margin(p: Floats) -> Floats:
    if p.shape[1] == 1:
        return p[:, 0]
    top = np.partition(p, -2, axis=1)
    with np.errstate(invalid="ignore"):
        margin: Floats = top[:, -1] - top[:, -2]
    return margin


def _negative_entropy(p: Floats) -> Floats:
    if p.shape[1] == 1:
        return np.where(np.isfinite(p[:, 0]), 0.0, math.nan)
    positive = np.where(p <= 0.0, 1.0, p)  # 0 log 0 = 0, as 1 log 1
    with np.errstate(invalid="ignore"):
        entropy: Floats = (positive * np.log(positive)).sum(axis=1) / math.log(p.shape[1])
    return entropy


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, -math.inf)
