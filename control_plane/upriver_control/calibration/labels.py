"""Class answers by name: tiers may order their labels differently."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from upriver.agreement import Answered

Names = NDArray[np.str_]


def label_names(answered: Answered) -> Names:
    """The names of a classifier's columns; their numbers when it has no names."""
    columns = 0 if answered.scores is None else answered.scores.shape[1]
    return np.asarray(answered.labels or [str(column) for column in range(columns)], dtype=np.str_)


def best_labels(answered: Answered) -> Names:
    """The best label of each row; NaN is never the best."""
    if answered.scores is None or not answered.scores.shape[1]:
        return np.full(0 if answered.scores is None else len(answered.scores), "", dtype=np.str_)
    best: Names = label_names(answered)[np.nan_to_num(answered.scores, nan=-math.inf).argmax(axis=1)]
    return best


def columns_of(labels: Sequence[str] | Names, names: Names) -> NDArray[np.intp]:
    """The column of each label among names, -1 for one that is not there."""
    order = np.argsort(names)
    at = np.searchsorted(names[order], labels)
    found = order[np.minimum(at, len(names) - 1)] if len(names) else np.zeros(len(labels), dtype=np.intp)
    return np.where(names[found] == np.asarray(labels), found, -1) if len(names) else found - 1
