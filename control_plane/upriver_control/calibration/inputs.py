"""What a calibration is made of: every tier's answers to the same questions, their costs, and the promise wanted."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upriver.agreement import Agreement, Answered
from upriver.errors import InvalidInput
from upriver.policies import Form
from upriver.scores import BOX_KINDS, Floats, ScoreKind

Rows = NDArray[np.intp]
Progress = Callable[[str, float], None]
"""Told what is being done and the share of all work that is behind, 0 to 1."""


def silent(what: str, share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class TierOutputs:
    """What the version of one tier put out for all questions, in their order.

    `answered` is what agreement looks at. A classifier's scores are taken from `answered.scores` [rows, classes], which
    are logits or probabilities. Other tasks give their kinds of confidence in `confidences`, each [rows]:
    `upriver.scores` makes them, a detector's with `box_threshold`. `head` is the digest of the head that it answered
    with, empty for none.
    """

    tier: str
    version_digest: str
    answered: Answered
    are_logits: bool = False
    confidences: Mapping[ScoreKind, Floats] = field(default_factory=dict)
    box_threshold: float = 0.5
    head: str = ""

    @property
    def speaker(self) -> str:
        """The digest that its opinions go by: with a head it says something else than its version."""
        return self.head or self.version_digest

    @property
    def classifies(self) -> bool:
        """Whether its confidences come from class scores."""
        return not self.confidences


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised: with probability 1 - `delta` at most `epsilon` is lost, in a form; see `upriver.policies`."""

    epsilon: float
    delta: float = 0.05
    form: Form = Form.PER_TIER


@dataclass(frozen=True, slots=True)
class CalibrationInput:
    """One calibration.

    `tiers` go from the bottom to the top, which is the last and whose answers are the standard. `tune` and `calibrate`
    are row numbers, disjoint: everything is chosen on the first, and only the certificate is made from the second,
    which must be drawn from what the mesh is asked (a holdout, or audits; never escalated questions alone).
    `costs[i, k]` is what it costs tier i to ask tier k, k > i, in one unit of the caller's choice; see `hop_costs`.
    `truth`, [rows] of label names, makes the basis labels instead of the top's answers (classifiers only).
    `data` is the digest that names the questions.
    """

    tiers: tuple[TierOutputs, ...]
    tune: Rows
    calibrate: Rows
    costs: Floats
    target: Target
    data: str
    agreement: Agreement = field(default_factory=Agreement)
    truth: tuple[str, ...] | None = None
    fuse: bool = True


def hop_costs(hops: Sequence[float]) -> Floats:
    """Costs [tiers, tiers] when asking costs the sum of the hops on the way; `hops[i]` is from tier i to i + 1."""
    at = np.concatenate([[0.0], np.cumsum(np.asarray(hops, dtype=np.float64))])
    costs: Floats = np.maximum(at[np.newaxis, :] - at[:, np.newaxis], 0.0)
    return costs


def check(given: CalibrationInput) -> int:
    """Gives the number of questions; raises InvalidInput with everything that is wrong with the input."""
    problems = [*_target_problems(given.target), *_shape_problems(given)]
    if not problems:
        problems = [*_row_problems(given, _rows(given.tiers[0].answered)), *_cost_problems(given)]
    if problems:
        raise InvalidInput("a calibration can't be made of this: " + "; ".join(problems))
    return _rows(given.tiers[0].answered)


def _target_problems(target: Target) -> list[str]:
    return [
        f"{name} = {value}: expected above 0 and below 1"
        for name, value in (("epsilon", target.epsilon), ("delta", target.delta))
        if not 0.0 < value < 1.0
    ]


def _shape_problems(given: CalibrationInput) -> list[str]:
    if len(given.tiers) < 2:
        return [f"{len(given.tiers)} tiers: expected at least one below the top"]
    names = [tier.tier for tier in given.tiers]
    problems = [] if len(set(names)) == len(names) else [f"tiers {', '.join(names)}: expected each once"]
    counts = {_rows(tier.answered) for tier in given.tiers}
    if len(counts) != 1:
        problems.append(f"tiers answered {sorted(counts)} questions: expected the same ones")
    for tier in given.tiers[:-1]:
        if tier.classifies and (tier.answered.scores is None or tier.answered.scores.ndim != 2):
            problems.append(f"{tier.tier}: expected scores [rows, classes] or confidences")
        wrong = [kind for kind, values in tier.confidences.items() if values.shape != (_rows(tier.answered),)]
        problems += [f"{tier.tier}: confidences of kind {kind}: expected one per question" for kind in wrong]
        if set(tier.confidences) - BOX_KINDS - {ScoreKind.SCALAR}:
            problems.append(f"{tier.tier}: confidences of class scores are computed, not given")
    return problems


def _row_problems(given: CalibrationInput, rows: int) -> list[str]:
    problems = []
    for name, split in (("tune", given.tune), ("calibrate", given.calibrate)):
        if (
            split.ndim != 1
            or len(np.unique(split)) != len(split)
            or (len(split) and not 0 <= split.min() <= split.max() < rows)
        ):
            problems.append(f"{name}: expected row numbers below {rows}, each once")
    if len(np.intersect1d(given.tune, given.calibrate)):
        problems.append(
            "tune and calibrate share questions: a certificate is made from questions that nothing was chosen on"
        )
    if given.truth is not None and len(given.truth) != rows:
        problems.append(f"{len(given.truth)} true labels for {rows} questions")
    if given.truth is not None and any(not tier.classifies for tier in given.tiers[:-1]):
        problems.append("true labels are for classifiers")
    return problems


def _cost_problems(given: CalibrationInput) -> list[str]:
    count = len(given.tiers)
    if given.costs.shape != (count, count):
        return [f"costs of shape {given.costs.shape}: expected ({count}, {count})"]
    upward = given.costs[np.triu_indices(count, 1)]
    if not np.isfinite(upward).all() or (upward < 0).any():
        return ["costs: expected finite numbers of at least 0 for every tier above"]
    return []


def _rows(answered: Answered) -> int:
    arrays: list[NDArray[Any] | None] = [answered.scores, answered.values, answered.boxes]
    return next((len(array) for array in arrays if array is not None), 0)


def always_escalates(threshold: float) -> bool:
    """Whether a tier with this threshold answers nothing itself."""
    return threshold == math.inf
