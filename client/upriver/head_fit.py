"""Weights of a head from the sums over its lessons: two ways, both of nothing but additions.

- GAUSSIAN: each label's embeddings are taken to be normal around a mean of its own with one covariance Σ for all; then
  log P(label | h) is linear in h. With the sums of `upriver.head_statistics`, n_c the lessons of label c:

      μ_c = toward_c / n_c,   Σ = (outer - Σ_c n_c μ_c μ_cᵀ) / n,   weights_c = Σ⁻¹μ_c,   bias_c = -½ μ_cᵀ Σ⁻¹ μ_c

  A label's mean is known from its first lessons on, and Σ from all labels', so a new label needs few.
- RIDGE: least squares, W = (A + λI)⁻¹ B. It needs several times as many lessons for a new label (docs/learning.md has
  both, measured).

Both are centred: the mean over the labels that have lessons is taken off, which no softmax sees, and which keeps
weights small and so the grid of `upriver.heads` fine.

Sources: Fisher 1936; shrinkage of a covariance towards its diagonal's mean (Ledoit and Wolf 2004).
"""

import math
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.head_statistics import HeadStatistics, merged
from upriver.scores import Floats

PRIOR_LESSONS: Final = 1000.0
"""A prior counts as so many lessons at most, however large its training set was: see `joined`."""
LEAST_LESSONS: Final = 0.5
"""A label with less than so much of a lesson is not learnt: what has faded or is left of one taken out says little."""
_SHRINKAGE: Final = 0.1
"""The share of the mean variance that is added to every direction is this times embedding / lessons."""
_RIDGE: Final = 1e-4
"""λ as a share of the mean of A's diagonal."""
_RIDGE_SCALE: Final = 12.0
"""Least squares gives about 0 and 1; softmax wants logits."""
_FLOOR: Final = 40.0
"""How far the logit of a label that is not learnt lies below 0, where the best of the others never is."""
_COLDEST, _HOTTEST, _STEPS = 1.0, 64.0, 40


class Method(StrEnum):
    """How weights come from sums."""

    GAUSSIAN = "gaussian"
    RIDGE = "ridge"


def joined(prior: HeadStatistics, lessons: HeadStatistics, most: float = PRIOR_LESSONS) -> HeadStatistics:
    """The sums that a head is fitted to: the lessons', and the prior's as if it were of `most` lessons at most.

    Labels are the prior's, then those that the lessons have besides. Raises ValueError when widths differ.
    """
    if prior.lessons > most:
        prior = prior.copy()
        prior.fade(most / prior.lessons)
    return merged([prior, lessons])


def fit(statistics: HeadStatistics, method: Method = Method.GAUSSIAN) -> Floats:
    """The weights, [embedding + 1, labels], finite whatever the sums are.

    A label without lessons has a logit that is never the highest where any label has lessons; without any lesson all
    weights are 0. Taking lessons out again leaves rounding in the sums: what is left of a lesson then counts as none.
    """
    counts = statistics.toward[-1]
    known = np.flatnonzero(np.isfinite(counts) & (counts >= LEAST_LESSONS))
    weights: Floats = np.zeros_like(statistics.toward)
    if not len(known) or not (np.isfinite(statistics.outer).all() and np.isfinite(statistics.toward).all()):
        return weights
    scale = _scale(statistics)
    outer, toward = statistics.outer.copy(), statistics.toward[:, known].copy()
    outer[:-1] /= scale
    outer[:, :-1] /= scale
    toward[:-1] /= scale
    found = (_gaussian if method is Method.GAUSSIAN else _ridge)(outer, toward)
    found[:-1] /= scale
    found -= found.mean(axis=1, keepdims=True)
    if not np.isfinite(found).all():  # numbers too large to be squared
        return weights
    weights[:, known] = found
    others = np.setdiff1d(np.arange(len(statistics.labels)), known)
    weights[-1, others] = -_FLOOR
    return weights


def temperature_of(logits: NDArray[np.floating[Any]], labels: NDArray[np.intp]) -> float:
    """By which logits [rows, labels] are best divided so that softmax has the shares of `labels` [rows]; at least 1.

    The minimum of the negative log-likelihood over log T, by golden section (it is convex in 1/T). What heads are
    fitted to they know too well, so that nothing below 1 is believed. No rows: 1.
    """
    if not len(labels):
        return _COLDEST
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    right = z[np.arange(len(z)), labels]

    def loss(log_t: float) -> float:
        t = math.exp(log_t)
        return float((np.log(np.exp(z / t).sum(axis=1)) - right / t).mean())

    low, high, golden = math.log(_COLDEST), math.log(_HOTTEST), (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(_STEPS):
        left, more = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, more) if loss(left) <= loss(more) else (left, high)
    found = math.exp((low + high) / 2.0)
    return _COLDEST if found < 1.01 * _COLDEST else found


def _gaussian(outer: Floats, toward: Floats) -> Floats:
    """`outer` [embedding + 1, embedding + 1] and `toward` [embedding + 1, labels], each label with lessons."""
    counts = toward[-1]
    total, width = float(counts.sum()), len(outer) - 1
    means = toward[:-1] / counts
    within = (outer[:-1, :-1] - (means * counts) @ means.T) / total
    within = (within + within.T) / 2.0
    shrinkage = _SHRINKAGE * width / total
    within[np.diag_indices(width)] += shrinkage * _mean_variance(within, outer[:-1, :-1] / total) + 1e-12
    solved = _solve(within, means)
    return np.vstack([solved, -0.5 * (means * solved).sum(axis=0)])


def _mean_variance(within: Floats, raw: Floats) -> float:
    """The mean variance of a direction; where lessons do not differ from their means, a share of how large they are."""
    return max(float(within.trace()), 1e-6 * float(raw.trace())) / len(within)


def _ridge(outer: Floats, toward: Floats) -> Floats:
    regular = outer.copy()
    regular[np.diag_indices(len(outer))] += _RIDGE * max(float(outer.trace()) / len(outer), 1e-12)
    return _RIDGE_SCALE * _solve(regular, toward)


def _solve(matrix: Floats, right: Floats) -> Floats:
    """matrix⁻¹ · right, by least squares where the matrix is singular after all."""
    try:
        found = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        found = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return found.astype(np.float64, copy=False)


def _scale(statistics: HeadStatistics) -> float:
    """The root mean square of an embedding's numbers: everything is computed in units of it."""
    lessons = max(statistics.lessons, 1e-300)
    square = float(np.diag(statistics.outer)[:-1].sum()) / lessons / statistics.width
    return math.sqrt(square) if 0.0 < square < math.inf else 1.0
