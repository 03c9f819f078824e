"""How ε and δ are split among tiers, so that each carries a bound of its own and the bounds add up (tuning split).

A tier that may lose k of n questions proves the Clopper-Pearson bound of k at its δ. That bound is furthest above the
plain share k/n for small k, so the split is searched in whole losses: which are worth most, given that the bounds must
add up to ε. What an allowance is worth is told by the tuning split: the threshold that a tier will reach with it, and
what the cascade of such thresholds costs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations, product
from typing import Final

import numpy as np
from scipy.special import gammaincinv

from upriver_control.calibration.binomial import allowed, upper_bound
from upriver_control.calibration.certificate import NEVER, Budget
from upriver_control.calibration.cost_path import Ladder, just_below, rule_of, run

_PARTS: Final = 20
"""δ is split in twentieths."""
_LEVELS: Final = (0.0, 0.08, 0.2, 0.35, 0.5, 0.7)
"""Where the search starts: shares of the losses that a tier could have if it were alone."""
_STEPS: Final = 30
_LUCK: Final = (0.15, 0.5, 0.85)
_ENOUGH: Final = 5000
"""Questions on which costs are compared; thresholds come from all."""


def choose_budgets(
    tuning: Ladder, active: Sequence[bool], questions: int, epsilon: float, delta: float
) -> list[Budget]:
    """The split under which the cascade is cheapest on the tuning split; `questions` will be looked at to prove it."""
    search = _Search(tuning, questions, epsilon, delta)
    tiers = [tier for tier, on in enumerate(active) if on]
    best, cheapest = [NEVER] * tuning.below, math.inf
    for count in range(1, min(len(tiers), 4) + 1):
        for chosen in combinations(tiers, count):
            budgets, cost = search.cheapest(chosen)
            if cost < cheapest:
                best, cheapest = budgets, cost
    return best


@dataclass(frozen=True, slots=True)
class _Split:
    """Some tiers, the twentieths of δ that each gets, and the losses of all but the last, which gets what is left."""

    tiers: tuple[int, ...]
    parts: tuple[int, ...]
    losses: tuple[int, ...]

    def neighbours(self) -> Iterator["_Split"]:
        """Splits with one number of losses changed, or with a twentieth of δ moved."""
        for at, known in enumerate(self.losses):
            for new in {known - 1, known + 1, math.floor(known * 0.7), math.ceil(known * 1.4)} - {known, -1}:
                yield _Split(self.tiers, self.parts, (*self.losses[:at], new, *self.losses[at + 1 :]))
        for giver, taker in permutations(range(len(self.parts)), 2):
            if self.parts[giver] > 1:
                moved = [part - (at == giver) + (at == taker) for at, part in enumerate(self.parts)]
                yield _Split(self.tiers, tuple(moved), self.losses)


class _Search:
    def __init__(self, tuning: Ladder, questions: int, epsilon: float, delta: float) -> None:
        self._questions, self._epsilon, self._delta = questions, epsilon, delta
        self._reach = [_Reach(tuning, tier, questions) for tier in range(tuning.below)]
        self._sample = _thinned(tuning)
        self._bound = cache(lambda losses, part: upper_bound(losses, questions, delta * part / _PARTS))

    def cheapest(self, tiers: tuple[int, ...]) -> tuple[list[Budget], float]:
        """The best of some starts, and from there downhill; a cost of inf when these tiers can't all have a bound."""
        even = [_PARTS // len(tiers)] * len(tiers)
        even[-1] += _PARTS - sum(even)
        most = [allowed(self._questions, self._epsilon, self._delta * part / _PARTS) for part in even[:-1]]
        levels = product(*[sorted({int(level * max(known, 0)) for level in _LEVELS}) for known in most])
        split, cost = self._best([_Split(tiers, tuple(even), losses) for losses in levels])
        for _ in range(_STEPS):
            better, its_cost = self._best(list(split.neighbours()))
            if its_cost >= cost:
                break
            split, cost = better, its_cost
        return self._budgets(split), cost

    def _best(self, splits: Sequence[_Split]) -> tuple[_Split, float]:
        costs = [self._cost(self._budgets(split)) for split in splits]
        if not costs:
            return _Split((), (), ()), math.inf
        at = int(np.argmin(costs))
        return splits[at], costs[at]

    def _budgets(self, split: _Split) -> list[Budget]:
        """What a split means; nobody gets anything when the bounds don't fit into ε."""
        budgets = [NEVER] * self._sample.below
        left = self._epsilon
        for tier, part, losses in zip(split.tiers, split.parts, split.losses, strict=False):
            bound = self._bound(losses, part)
            budgets[tier] = Budget(losses, bound, self._delta * part / _PARTS)
            left -= bound
        last = self._delta * split.parts[-1] / _PARTS if split.parts else 0.0
        most = allowed(self._questions, left, last) if 0.0 < left < 1.0 and last else -1
        if most < 0:
            return [NEVER] * self._sample.below
        budgets[split.tiers[-1]] = Budget(most, self._bound(most, split.parts[-1]), last)
        return budgets

    def _cost(self, budgets: Sequence[Budget]) -> float:
        """The cascade's cost per question, a mean over lucky and unlucky calibration splits."""
        if all(budget.losses < 0 for budget in budgets):
            return math.inf
        total = 0.0
        for luck in _LUCK:
            thresholds = [
                math.inf if budget.losses < 0 else known.threshold(budget.losses, luck)
                for known, budget in zip(self._reach, budgets, strict=True)
            ]
            total += float(run(self._sample, rule_of(self._sample, thresholds)).cost.mean())
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


def _thinned(ladder: Ladder) -> Ladder:
    """Every so many-th question, so that costs are computed fast however many there are."""
    step = max(1, -(-ladder.rows // _ENOUGH))
    return Ladder(
        [values[::step] for values in ladder.confidence],
        [values[::step] for values in ladder.risk],
        [flags[::step] for flags in ladder.wrong],
        ladder.costs,
        ladder.experts,
    )
