"""What is shipped: the rule of a form with its proof, or "always escalate" (see certificate.py for the tests).

Joint: one statement about exactly this set of pairs; see joint.py for what counts.

Per tier: each pair's own statement. A question counts if this tier would answer it and be wrong. Bounds add up (union
bound), whatever other tiers run. With true labels gains don't count: several tiers would claim the same one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from upriver.policies import Form
from upriver.scores import Floats
from upriver_control.calibration import binomial
from upriver_control.calibration.budgets import choose_budgets
from upriver_control.calibration.certificate import (
    NEVER,
    Budget,
    falling_candidates,
    fixed_sequence,
    losses_under,
    lowest_threshold,
    missing_questions,
)
from upriver_control.calibration.cost_path import Ladder, Rule, cost_path, lost, rule_of, run
from upriver_control.calibration.inputs import Target
from upriver_control.calibration.joint import JointTest, Splits, any_route

_COARSE: Final = 100
"""Prices along the paths that are only compared."""
_AROUND: Final = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Shares of the losses that a target allows, at which cascades are compared."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What the tuning split chose, to be proven: the order of rules, and what each tier may lose (per-tier form)."""

    path: tuple[Rule, ...]
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What ships. `losses` on the calibration split; `budgets` and `tier_losses` of the per-tier form; `missing` more
    questions are needed before anything may ship.
    """

    rule: Rule
    losses: float
    certified_loss: float
    chosen: int
    missing: int
    budgets: tuple[Budget, ...] = ()
    tier_losses: tuple[int, ...] = ()


def look_ahead(
    tuning: Ladder, active: Sequence[bool], questions: int, target: Target, path: Sequence[Rule] = ()
) -> Prospect:
    """What is to be proven on so many questions, chosen by the tuning split alone; `path`: one that is known."""
    known = tuple(path or cost_path(tuning, best_tiers(tuning, active, questions, target)[0]))
    if target.form is Form.JOINT:
        return Prospect(known)
    return Prospect(known, tuple(choose_budgets(tuning, active, questions, target.epsilon, target.delta)))


def prove(splits: Splits, prospect: Prospect, target: Target) -> Plan:
    """The rule that ships: as much of the prospect as the calibration split proves."""
    return _joint(splits, prospect.path, target) if target.form is Form.JOINT else _per_tier(splits, prospect, target)


def best_tiers(tuning: Ladder, tiers: Sequence[bool], questions: int, target: Target) -> tuple[tuple[bool, ...], float]:
    """Which of the tiers make the cascade cheapest at the joint target, and what it costs then (inf: unknown)."""
    best, cheapest = tuple(tiers), math.inf
    most = binomial.allowed(questions, target.epsilon, target.delta)
    if most < 0 or not tuning.rows:
        return best, cheapest
    for active in _subsets(tiers):
        path = cost_path(tuning, active, _COARSE)
        reached = [rule for rule in path if _expected_losses(tuning, rule, questions) <= most + 1.0]
        cost = min((float(run(tuning, rule).cost.mean()) for rule in reached), default=math.inf)
        if cost < cheapest:
            best, cheapest = active, cost
    return best, cheapest


def _joint(splits: Splits, path: Sequence[Rule], target: Target) -> Plan:
    test = JointTest(splits, path)
    chosen = fixed_sequence(test.p_values(target.epsilon), target.delta)
    missing = 0
    if not chosen and len(path) > 1:
        least = max(0, math.ceil(test.losses[1]))
        missing = missing_questions(splits.questions, least, target.epsilon, target.delta)
    return Plan(path[chosen], float(test.losses[chosen]), target.epsilon if chosen else 0.0, chosen, missing)


def _per_tier(splits: Splits, prospect: Prospect, target: Target) -> Plan:
    tuning, proving = splits.tuning, splits.proving
    thresholds, losses = [], []
    for tier, budget in enumerate(prospect.budgets):
        candidates: Floats = falling_candidates(tuning.confidence[tier]) if budget.losses >= 0 else np.zeros(0)
        threshold, count = lowest_threshold(proving.confidence[tier], proving.wrong[tier], candidates, budget)
        thresholds.append(threshold)
        losses.append(count)
    budgets = [NEVER if at == math.inf else its for at, its in zip(thresholds, prospect.budgets, strict=True)]
    rule = rule_of(tuning, thresholds)
    missing = 0
    if all(at == math.inf for at in thresholds) and any(splits.active):
        missing = _missing_per_tier(splits, target)
    return Plan(
        rule=rule,
        losses=float(lost(proving, run(proving, rule).exits).sum()),
        certified_loss=float(sum(budget.epsilon for budget in budgets)),
        chosen=-1,
        missing=missing,
        budgets=tuple(budgets),
        tier_losses=tuple(losses),
    )


def _missing_per_tier(splits: Splits, target: Target) -> int:
    """What the tier that needs fewest is missing, if it had all of ε and δ: its surest answers decide."""
    tuning, proving, needs = splits.tuning, splits.proving, []
    for tier in (tier for tier, on in enumerate(splits.active) if on):
        surest = falling_candidates(tuning.confidence[tier])[:1]
        if len(surest):
            least = int(losses_under(proving.confidence[tier], proving.wrong[tier], surest)[0])
            needs.append(missing_questions(proving.rows, least, target.epsilon, target.delta))
    return min(needs, default=0)


def typical_cost(tuning: Ladder, tiers: Sequence[bool], questions: int, target: Target) -> float:
    """The cascade's cost, a mean over losses around those that the target allows: steadier than one of them."""
    most = binomial.allowed(questions, target.epsilon, target.delta)
    path = cost_path(tuning, tiers, _COARSE)
    found = [(_expected_losses(tuning, rule, questions), float(run(tuning, rule).cost.mean())) for rule in path]
    limits = [share * (most + 1.0) for share in _AROUND]
    return sum(min(cost for losses, cost in found if losses <= limit) for limit in limits) / len(limits)


def _expected_losses(tuning: Ladder, rule: Rule, questions: int) -> float:
    """How many of so many questions would be lost, one more than seen: the last one seen may have been lucky."""
    if all(threshold == math.inf for threshold in rule.thresholds):
        return 0.0
    return (float(any_route(tuning, rule).sum()) + 1.0) * questions / tuning.rows


def _subsets(active: Sequence[bool]) -> list[tuple[bool, ...]]:
    """All ways to leave out some of the active tiers, the most first; with more than four of them, one or none."""
    if sum(active) > 4:
        ways = [tuple(on and at != left for at, on in enumerate(active)) for left in range(len(active))]
        return [*ways, tuple(active)]
    return sorted(product(*[(True, False) if on else (False,) for on in active]), key=sum)
