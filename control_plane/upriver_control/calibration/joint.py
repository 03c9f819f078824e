"""The joint form: how much a whole path of rules loses on the calibration split, and what that proves.

A question counts as lost if any tier that would answer it is wrong, whether or not it comes that far. So the statement
holds for every way through these tiers: past one that is skipped or down, or from callers who ask higher up. And since
thresholds only fall along a path, the count only grows, and the sequence of tests never stops early by bad luck.

With true labels the cascade counts as it is routed, and gains pay back losses: such a statement is of this route alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from upriver.scores import Floats
from upriver_control.calibration import betting, binomial
from upriver_control.calibration.cost_path import Ladder, Rule, lost, passes, run

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Splits:
    """The tiers below the top on both splits; `pays` [rows] per tier and split: gains, None without true labels."""

    tuning: Ladder
    proving: Ladder
    active: tuple[bool, ...]
    tuning_pays: tuple[Flags, ...] | None = None
    proving_pays: tuple[Flags, ...] | None = None

    @property
    def questions(self) -> int:
        """How many questions the certificate is made from."""
        return self.proving.rows


class JointTest:
    """The tests of a path's rules, whose thresholds fall from each to the next."""

    def __init__(self, splits: Splits, path: Sequence[Rule]) -> None:
        self._splits, self._path = splits, path
        self._signed: list[NDArray[np.int8]] = []
        self.losses: Floats
        """What counts under each rule on the calibration split, [points]."""
        if splits.proving_pays is None:
            self.losses = any_route_counts(splits.proving, path)
        else:
            self._signed = [_signed(splits.proving, splits.proving_pays, rule) for rule in path]
            self.losses = np.array([signed.sum() for signed in self._signed], dtype=np.float64)

    def p_values(self, epsilon: float) -> Iterator[float]:
        """Of "under this rule more than epsilon is lost", per rule. A rule that answers nothing loses nothing."""
        splits = self._splits
        counted = binomial.p_values(self.losses, splits.questions, epsilon).tolist()
        for at, (rule, p_value) in enumerate(zip(self._path, counted, strict=True)):
            if all(threshold == math.inf for threshold in rule.thresholds):
                yield 0.0
            elif splits.tuning_pays is None:
                yield p_value
            else:
                expected = _signed(splits.tuning, splits.tuning_pays, rule)
                yield betting.p_value(self._signed[at], epsilon, expected)


def any_route(ladder: Ladder, rule: Rule) -> Flags:
    """Which questions some tier would answer itself and be wrong, [rows]."""
    flags = np.zeros(ladder.rows, dtype=np.bool_)
    for confidence, loses, threshold in zip(ladder.confidence, ladder.wrong, rule.thresholds, strict=True):
        flags |= passes(confidence, threshold) & loses
    return flags


def any_route_counts(ladder: Ladder, path: Sequence[Rule]) -> Floats:
    """How many questions `any_route` flags under each rule of a path, [points]."""
    first = np.full(ladder.rows, len(path))  # the first rule under which a question is lost
    for tier, (confidence, loses) in enumerate(zip(ladder.confidence, ladder.wrong, strict=True)):
        rising = np.array([-rule.thresholds[tier] for rule in path])
        at = np.searchsorted(rising, -confidence[loses], side="left")
        first[loses] = np.minimum(first[loses], np.where(confidence[loses] > -math.inf, at, len(path)))
    counts: Floats = np.cumsum(np.bincount(first, minlength=len(path) + 1)[:-1], dtype=np.float64)
    return counts


def _signed(ladder: Ladder, pays: Sequence[Flags], rule: Rule) -> NDArray[np.int8]:
    """1 where the cascade loses against the top, -1 where it gains, [rows]."""
    exits = run(ladder, rule).exits
    gains = lost(replace(ladder, wrong=list(pays)), exits)
    return lost(ladder, exits).astype(np.int8) - gains.astype(np.int8)
