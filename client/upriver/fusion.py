"""Fusing a tier's own answer with those from below: a weighted product of experts.

p(label) ∝ own(label)^own_weight · Π below(label)^weight, over the labels that the own answer has. Whoever calibrates
the weights and whoever answers with them calls this, so that both mean the same.

Source: logarithmic opinion pool (Genest and Zidek 1986), product of experts (Hinton 2002).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.labels import numbered
from upriver.scores import Floats

MAX_NAMED: Final = 32
"""Labels of a row that an opinion names; the others share what is left of 1."""
FLOOR: Final = 1e-6
"""The least probability that counts: no expert rules a label out, however sure it is."""
_SUM_AT_MOST: Final = 1.02
"""Half precision rounds each of 32 probabilities by at most one part in 2048."""

Halves = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one version said of some rows, as it travels: its likeliest labels with their probabilities.

    `values` is [rows, k] in half precision, k at most MAX_NAMED. `columns`, [rows, k], has their numbers among
    `labels`, None when they are 0 to k - 1 in every row. Without `labels` (the model names none) the numbers are those
    of its classes.
    """

    labels: tuple[str, ...]
    values: Halves
    columns: NDArray[np.uint32] | None = None

    def of_rows(self, rows: NDArray[np.intp]) -> "Opinion":
        """The same of some of the rows."""
        columns = None if self.columns is None else self.columns[rows]
        return replace(self, values=self.values[rows], columns=columns)


@dataclass(frozen=True, slots=True)
class Fused:
    """`probabilities` is [rows, classes]; `counted`, [rows, experts], says whose opinion went into which row."""

    probabilities: Floats
    counted: NDArray[np.bool_]

    @property
    def rows(self) -> NDArray[np.bool_]:
        """Which rows any opinion went into, [rows]."""
        rows: NDArray[np.bool_] = np.logical_or.reduce(self.counted, axis=1)
        return rows


def opinion(probabilities: NDArray[Any], labels: Sequence[str] = ()) -> Opinion:
    """What is told of probabilities [rows, classes], which temperature has scaled.

    Each row is brought to the sum of 1, what is below 0 (dequantisation) counting as 0; a row that can't be is NaN.
    """
    classes = probabilities.shape[1]
    shares = _shares(probabilities)
    if classes <= MAX_NAMED:
        return Opinion(tuple(labels), shares.astype(np.float16))
    likeliest = np.argsort(-shares, axis=1, kind="stable")[:, :MAX_NAMED]
    values = np.take_along_axis(shares, likeliest, axis=1).astype(np.float16)
    if not labels:
        return Opinion((), values, likeliest.astype(np.uint32))
    used, columns = np.unique(likeliest, return_inverse=True)
    named = tuple(labels[column] for column in used.tolist())
    return Opinion(named, values, columns.reshape(likeliest.shape).astype(np.uint32))


def fuse(
    own: NDArray[Any], labels: Sequence[str], own_weight: float, experts: Sequence[tuple[float, Opinion]]
) -> Fused:
    """Fuses own probabilities, [rows, classes], with opinions of the same rows, each with its weight of at least 0.

    Labels are matched by name. A label that an expert does not name gets an even share of what it leaves of 1; no
    probability counts as less than FLOOR. An opinion without weight, a row of one that is no distribution, and one of
    an expert that names its labels where we do not (or the other way round) do not count. A row for which none counts
    stays the own one; one whose own probabilities say nothing is NaN. Raises ValueError for other numbers of rows.
    """
    rows, classes = own.shape
    result = own.astype(np.float64)
    counted = np.zeros((rows, len(experts)), dtype=np.bool_)
    logs = np.zeros((rows, classes))
    for index, (weight, told) in enumerate(experts):
        if len(told.values) != rows:
            raise ValueError(f"an opinion of {len(told.values)} rows: expected {rows}")
        if weight <= 0.0 or not classes or bool(told.labels) != bool(labels):
            continue
        usable = _usable(told)
        counted[:, index] = usable
        logs[usable] += weight * np.log(_spread(told.of_rows(np.flatnonzero(usable)), labels, classes))
    fused = Fused(result, counted)
    rows = fused.rows
    if rows.any():
        result[rows] = _product(result[rows], own_weight, logs[rows])
    return fused


def _product(own: Floats, own_weight: float, logs: Floats) -> Floats:
    sound = np.isfinite(own).all(axis=1, keepdims=True) & (own > 0.0).any(axis=1, keepdims=True)
    total = own_weight * np.log(np.maximum(np.where(sound, own, 1.0), FLOOR)) + logs
    weights = np.exp(total - total.max(axis=1, keepdims=True))
    product: Floats = np.where(sound, weights / weights.sum(axis=1, keepdims=True), np.nan)
    return product


def _shares(probabilities: NDArray[Any]) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        positive = np.maximum(probabilities.astype(np.float64), 0.0)
        total = positive.sum(axis=1, keepdims=True)
        shares: Floats = np.where(np.isfinite(total) & (total > 0.0), positive / total, np.nan)
    return shares


def _usable(told: Opinion) -> NDArray[np.bool_]:
    """Which rows are distributions: finite, none below 0, and a sum above 0 and about 1 at most."""
    values = told.values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        total = values.sum(axis=1)
        good: NDArray[np.bool_] = (values >= 0.0).all(axis=1) & (total > 0.0) & (total <= _SUM_AT_MOST)
    return good


def _spread(told: Opinion, labels: Sequence[str], classes: int) -> Floats:
    """An opinion over our classes, [rows, classes], each at least FLOOR."""
    rows, named = told.values.shape
    values = told.values.astype(np.float64)
    columns = np.broadcast_to(np.arange(named), (rows, named)) if told.columns is None else told.columns.astype(np.intp)
    # Numbers that were told are not bounded, so there is no table of them.
    positions = _positions(told.labels, labels)[columns] if labels else np.where(columns < classes, columns, -1)
    known = positions >= 0
    missing = classes - known.sum(axis=1)
    rest = np.maximum(0.0, 1.0 - values.sum(axis=1)) / np.maximum(1, missing)
    dense = np.repeat(rest[:, np.newaxis], classes, axis=1)
    at = np.nonzero(known)
    dense[at[0], positions[at]] = values[at]
    spread: Floats = np.maximum(dense, FLOOR)
    return spread


def _positions(theirs: Sequence[str], ours: Sequence[str]) -> NDArray[np.intp]:
    """Where each of an expert's labels is among ours, -1 for nowhere."""
    where = {name: index for index, name in enumerate(numbered(ours))}
    return np.array([where.get(name, -1) for name in numbered(theirs)], dtype=np.intp)
