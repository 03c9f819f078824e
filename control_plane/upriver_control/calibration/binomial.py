"""Exact binomial tests of a share: how likely so few losses would be if the share were as high as the bound.

Sources: Clopper and Pearson 1934; learn-then-test uses the same tail (Angelopoulos et al. 2021).
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, betaincinv

from upriver.scores import Floats


def p_values(losses: ArrayLike, questions: int, epsilon: float) -> Floats:
    """P(at most so many losses | share = epsilon): the p-value of "the share is above epsilon". No questions: 1."""
    counts = np.asarray(losses, dtype=np.float64)
    if not questions:
        return np.ones_like(counts)
    tail: Floats = np.where(counts < 0, 0.0, bdtr(np.maximum(counts, 0.0), questions, epsilon))
    return tail


def allowed(questions: int, epsilon: float, delta: float) -> int:
    """The most losses that still prove a share of at most epsilon with confidence 1 - delta; -1: not even none."""
    most = math.ceil(questions * epsilon)
    passing = np.flatnonzero(p_values(np.arange(most + 1), questions, epsilon) <= delta)
    return int(passing[-1]) if len(passing) else -1


def upper_bound(losses: int, questions: int, delta: float) -> float:
    """The smallest share that so many losses disprove with confidence 1 - delta (Clopper-Pearson, one side)."""
    if losses >= questions:
        return 1.0
    return float(betaincinv(losses + 1.0, questions - losses, 1.0 - delta))
