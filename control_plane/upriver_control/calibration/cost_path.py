"""Points between "everything to the top" and "everything answered below", each the cheapest at its risk (tuning split).

For a price μ of one loss, backward from the top: tier i answers iff its risk is at most the best that lies above,
min over k of R̄_k + (c_ik + C̄_k)/μ. A tier whose threshold is never worth it answers nothing and is not asked. R̄ and C̄
are means over the questions that come to a tier, so the recursion runs again with those that the last run sent up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.scores import Floats

Flags = NDArray[np.bool_]
PRICES: Final = 250
_ROUNDS: Final = 3
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Ladder:
    """What the path is computed from, per tier below the top.

    `confidence` is what thresholds are compared with, `risk` the estimated chance of disagreeing with the top that goes
    with it (falling where confidence rises), `wrong` where it does disagree; each [rows]. `costs` is [tiers, tiers],
    the top included. `experts` are, per tier, those below whose answers it fuses: it answers nothing without them.
    """

    confidence: Sequence[Floats]
    risk: Sequence[Floats]
    wrong: Sequence[Flags]
    costs: Floats
    experts: Sequence[frozenset[int]] = ()

    @property
    def below(self) -> int:
        """How many tiers are below the top."""
        return len(self.confidence)

    @property
    def rows(self) -> int:
        """How many questions there are."""
        return len(self.wrong[0])


@dataclass(frozen=True, slots=True)
class Rule:
    """Per tier below the top: the confidence from which it answers (inf: never), and who is asked next."""

    thresholds: tuple[float, ...]
    following: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """How questions fare under a rule: who answers each (index of the tier), what it cost to get there; [rows]."""

    exits: NDArray[np.intp]
    cost: Floats

    def shares(self, tiers: int) -> Floats:
        """The share that each tier answers, [tiers]."""
        counts: Floats = np.bincount(self.exits, minlength=tiers) / max(len(self.exits), 1)
        return counts


def passes(confidence: Floats, threshold: float) -> Flags:
    """Which rows a tier answers itself, as an agent decides it."""
    return (confidence >= threshold) & (confidence > -math.inf)


def run(ladder: Ladder, rule: Rule) -> Course:
    """Sends all questions in at the bottom."""
    exits = np.full(ladder.rows, ladder.below, dtype=np.intp)
    cost = np.zeros(ladder.rows)
    here = np.zeros(ladder.rows, dtype=np.intp)
    for tier in range(ladder.below):
        at = here == tier
        answered = at & passes(ladder.confidence[tier], rule.thresholds[tier])
        exits[answered] = tier
        here[answered] = -1
        rising = at & ~answered
        here[rising] = rule.following[tier]
        cost[rising] += ladder.costs[tier, rule.following[tier]]
    return Course(exits, cost)


def lost(ladder: Ladder, exits: NDArray[np.intp]) -> Flags:
    """Which questions ended with another answer than the top's, [rows]."""
    flags = np.zeros(ladder.rows, dtype=np.bool_)
    for tier in range(ladder.below):
        flags |= (exits == tier) & ladder.wrong[tier]
    return flags


def cost_path(ladder: Ladder, active: Sequence[bool], prices: int = PRICES) -> list[Rule]:
    """The path as rules, from everything to the top on; each answers at least what the one before did, at each tier.

    Tiers that are not `active` answer nothing and are not asked, but the first, where questions come in.
    """
    rules = [rule_of(ladder, [math.inf] * ladder.below)]
    if ladder.rows:
        lowest = [math.inf] * ladder.below
        for price in _prices(ladder, prices):
            rule = _best_rule(ladder, active, price)
            lowest = [min(known, new) for known, new in zip(lowest, rule.thresholds, strict=True)]
            rules.append(rule_of(ladder, lowest))
    return _without_repeats(rules)


def rule_of(ladder: Ladder, thresholds: Sequence[float]) -> Rule:
    """The rule with these thresholds under which tiers that answer nothing are not asked, unless that is dearer.

    It would be where a detour costs less than the straight way. A tier is asked also if one above fuses its answers.
    """
    costs, top = ladder.costs, len(thresholds)
    asked = {tier for tier in range(top) if thresholds[tier] < math.inf}
    asked |= {expert for tier in tuple(asked) if ladder.experts for expert in ladder.experts[tier]}
    onward = [top] * top
    cost = [0.0] * (top + 1)  # from each tier to the next one that is asked
    for tier in reversed(range(top)):
        goal = next((k for k in range(tier + 1, top) if k in asked), top)
        ways = {k: costs[tier, k] + (cost[k] if k < goal else 0.0) for k in range(goal, tier, -1)}
        onward[tier] = min(ways, key=ways.__getitem__)
        cost[tier] = ways[onward[tier]]
    return Rule(tuple(thresholds), tuple(onward))


def _prices(ladder: Ladder, count: int) -> Floats:
    """Falling geometrically, from where no loss is worth anything to where every one is."""
    steepest = max(float(ladder.costs[0].max()), 1e-12)
    risks = np.concatenate([risk[np.isfinite(risk)] for risk in ladder.risk])
    least = max(float(risks[risks > 0].min(initial=1.0)), 1e-9)
    return np.geomspace(4.0 * steepest / least, steepest / 4.0, count)


def _best_rule(ladder: Ladder, active: Sequence[bool], price: float) -> Rule:
    top = ladder.below
    arriving: list[Flags] = [np.ones(ladder.rows, dtype=np.bool_)] * top
    rule = Rule((math.inf,) * top, (top,) * top)
    for _ in range(_ROUNDS):
        value = [0.0] * (top + 1)  # R̄ + C̄/μ of each tier, for what comes to it
        thresholds, onward = [math.inf] * top, [top] * top
        for tier in reversed(range(top)):
            choices = [k for k in range(tier + 1, top + 1) if k == top or active[k]]
            worth = {k: value[k] + float(ladder.costs[tier, k]) / price for k in reversed(choices)}
            onward[tier] = min(worth, key=worth.__getitem__)
            above = worth[onward[tier]]
            if active[tier]:
                thresholds[tier] = _threshold(ladder, tier, above)
            kept = passes(ladder.confidence[tier], thresholds[tier])
            each = np.where(kept, ladder.risk[tier], above)[arriving[tier]]
            value[tier] = float(each.mean()) if len(each) else above
        found = Rule(tuple(thresholds), tuple(onward))
        if found == rule:
            break
        rule, arriving = found, _arrivals(ladder, found)
    return rule


def _threshold(ladder: Ladder, tier: int, most: float) -> float:
    """Just below the lowest confidence seen whose risk is at most `most`."""
    good = (ladder.risk[tier] <= most) & (ladder.confidence[tier] > -math.inf)
    lowest = ladder.confidence[tier][good].min(initial=math.inf)
    return float(just_below(np.array([lowest]))[0]) if lowest < math.inf else math.inf


def just_below(confidence: Floats) -> Floats:
    """Thresholds that these finite confidences pass, however they were rounded: computed alone, or in a batch."""
    thresholds: Floats = confidence - _ROUNDING * np.maximum(1.0, np.abs(confidence))
    return thresholds


def _arrivals(ladder: Ladder, rule: Rule) -> list[Flags]:
    here = np.zeros(ladder.rows, dtype=np.intp)
    arrivals = []
    for tier in range(ladder.below):
        at = here == tier
        arrivals.append(at)
        here = np.where(at & ~passes(ladder.confidence[tier], rule.thresholds[tier]), rule.following[tier], here)
    return arrivals


def _without_repeats(rules: Sequence[Rule]) -> list[Rule]:
    return [rule for at, rule in enumerate(rules) if not at or rule.thresholds != rules[at - 1].thresholds]
