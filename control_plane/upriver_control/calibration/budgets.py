"""How ε and δ are split among tiers, so that each carries a bound of its own and the bounds add up (tuning split).

A tier that may lose k of n questions proves the Clopper-Pearson bound of k at its δ. That bound is furthest above the
plain share k/n for small k, so the split is searched in whole losses: which are worth most, given that the bounds must
add up to ε. What an allowance is worth is told by the tuning split: the threshold that a tier will reach with it, and
what the cascade of such thresholds costs.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations, pairwise, product
from typing import Final

import numpy as np
from scipy.special import gammaincinv

from upriver_control.calibration.binomial import allowed, upper_bound
from upriver_control.calibration.certificate import NEVER, Budget
from upriver_control.calibration.cost_path import Ladder, just_below, rule_of, run

_PARTS: Final = 10
"""δ is split in tenths."""
_MOST_CANDIDATES: Final = 2000
_LUCK: Final = (0.15, 0.5, 0.85)


def choose_budgets(
    tuning: Ladder, active: Sequence[bool], questions: int, epsilon: float, delta: float
) -> list[Budget]:
    """The split under which the cascade is cheapest on the tuning split; `questions` will be looked at to prove it."""
    best, cheapest = [NEVER] * tuning.below, math.inf
    reach = [_Reach(tuning, tier, questions) if on else None for tier, on in enumerate(active)]
    for budgets in _splits([tier for tier, on in enumerate(active) if on], tuning.below, questions, epsilon, delta):
        cost = _expected_cost(tuning, reach, budgets)
        if cost < cheapest:
            best, cheapest = budgets, cost
    return best


def _expected_cost(tuning: Ladder, reach: "Sequence[_Reach | None]", budgets: Sequence[Budget]) -> float:
    """The cascade's cost per question, a mean over lucky and unlucky calibration splits."""
    total = 0.0
    for luck in _LUCK:
        thresholds = [
            math.inf if known is None or budget.losses < 0 else known.threshold(budget.losses, luck)
            for known, budget in zip(reach, budgets, strict=True)
        ]
        total += float(run(tuning, rule_of(tuning, thresholds)).cost.mean())
    return total / len(_LUCK)


class _Reach:
    """Which threshold a tier will reach, by its estimated risks, before it has one loss too many."""

    def __init__(self, tuning: Ladder, tier: int, questions: int) -> None:
        confidence, risk = tuning.confidence[tier], tuning.risk[tier]
        usable = np.flatnonzero(np.isfinite(confidence) & np.isfinite(risk))
        order = usable[np.argsort(-confidence[usable], kind="stable")]
        self._thresholds = just_below(confidence[order])
        self._losses = np.cumsum(risk[order]) * (questions / max(tuning.rows, 1))
        self._spread = 1.0 + questions / max(tuning.rows, 1)

    @cache  # noqa: B019 - it lives as long as one calibration
    def threshold(self, losses: int, luck: float) -> float:
        """Just below the last confidence before one loss too many.

        Losses come like points of a Poisson process, the k-th where the expected number is gamma distributed with mean
        and variance k. What is expected was itself counted, on the tuning split, which adds as much variance again if
        that is as large.
        """
        beyond = float(gammaincinv((losses + 1.0) / self._spread, luck)) * self._spread
        passing = int(np.searchsorted(self._losses, beyond, side="right"))
        return float(self._thresholds[passing - 1]) if passing else math.inf


def _splits(tiers: Sequence[int], below: int, questions: int, epsilon: float, delta: float) -> Iterator[list[Budget]]:
    """Every way to give tiers their losses, the last one what is left, for every split of δ."""
    for count in range(1, len(tiers) + 1):
        for chosen in combinations(tiers, count):
            for parts in _compositions(_PARTS, count):
                deltas = [delta * part / _PARTS for part in parts]
                yield from _given(chosen, deltas, below, questions, epsilon)


def _given(
    chosen: Sequence[int], deltas: Sequence[float], below: int, questions: int, epsilon: float
) -> Iterator[list[Budget]]:
    *first, last = chosen
    ladders = [_steps(questions, epsilon, part, len(first)) for part in deltas[:-1]]
    for steps in product(*ladders):
        left = epsilon - sum(step.epsilon for step in steps)
        most = allowed(questions, left, deltas[-1]) if left > 0 else -1
        if most < 0:
            continue
        budgets = [NEVER] * below
        for tier, step in zip(first, steps, strict=True):
            budgets[tier] = step
        budgets[last] = Budget(most, upper_bound(most, questions, deltas[-1]), deltas[-1])
        yield budgets


def _steps(questions: int, epsilon: float, delta: float, tiers: int) -> list[Budget]:
    """Budgets from none lost to as many as epsilon allows, so few that their combinations stay countable."""
    most = allowed(questions, epsilon, delta)
    count = max(2, int(_MOST_CANDIDATES ** (1.0 / max(tiers, 1)) / _PARTS))
    if most < 0:
        return []
    steps = np.unique(np.geomspace(1, most + 1, count).round().astype(int) - 1).tolist()
    return [Budget(k, upper_bound(k, questions, delta), delta) for k in steps]


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write total as a sum of that many numbers above 0, in order."""
    for cuts in combinations(range(1, total), parts - 1):
        edges = (0, *cuts, total)
        yield tuple(right - left for left, right in pairwise(edges))


def bounds_sum(budgets: Sequence[Budget]) -> float:
    """What all tiers' bounds add up to."""
    return float(sum(budget.epsilon for budget in budgets if budget.losses >= 0))
