"""Learn-then-test: hypotheses in a fixed order, each "this rule loses more than ε", until one can't be refuted.

The order comes from the tuning split, the tests from the calibration split, so the chance of shipping a rule that loses
more than ε is at most δ, for any score, however many rules are in the order (Angelopoulos et al. 2021).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upriver.scores import Floats
from upriver_control.calibration.cost_path import just_below
from upriver_control.calibration.proof import allowed, questions_needed

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Budget:
    """What one tier may lose: at most `losses` of the calibration questions, which proves `epsilon` with 1 - `delta`.

    `losses` -1: nothing can be proven, it always escalates.
    """

    losses: int
    epsilon: float
    delta: float


NEVER = Budget(-1, 0.0, 0.0)


def fixed_sequence(p_values: Iterable[float], delta: float) -> int:
    """The last point before the first whose p-value is above delta; -1 when that is the first one, or there is none."""
    point = -1
    for point, p_value in enumerate(p_values):
        if p_value > delta:
            return point - 1
    return point


def lowest_threshold(confidence: Floats, loses: Flags, candidates: Floats, budget: Budget) -> tuple[float, int]:
    """One tier's fixed sequence: the lowest of `candidates` (falling, from the tuning split) within the budget.

    `confidence` and `loses`, [questions], are of the calibration split: the tier's confidence, and whether its answer
    would be a loss, on all questions and not on those alone that came to it. Gives the threshold (inf: none) and the
    losses under it.
    """
    counts = losses_under(confidence, loses, candidates)
    beyond = np.flatnonzero(counts > budget.losses)
    last = (int(beyond[0]) if len(beyond) else len(candidates)) - 1
    return (float(candidates[last]), int(counts[last])) if last >= 0 else (math.inf, 0)


def losses_under(confidence: Floats, loses: Flags, thresholds: Floats) -> NDArray[np.intp]:
    """How many losses pass each threshold, [thresholds]."""
    lost = np.sort(confidence[loses & (confidence > -math.inf)])
    return len(lost) - np.searchsorted(lost, thresholds, side="left")


def missing_questions(questions: int, losses: int, epsilon: float, delta: float) -> int:
    """How many more questions, none of them lost, before `losses` of all of them prove epsilon; 0: they do already."""
    if allowed(questions, epsilon, delta) >= losses:
        return 0
    low, high = questions, max(questions_needed(epsilon, delta), 2 * questions, 1)
    while allowed(high, epsilon, delta) < losses:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if allowed(middle, epsilon, delta) >= losses:
            high = middle
        else:
            low = middle
    return high - questions


def falling_candidates(confidence: Floats) -> Floats:
    """Thresholds just below each distinct confidence of the tuning split, falling."""
    values = np.unique(confidence)
    return just_below(values[np.isfinite(values)][::-1])
