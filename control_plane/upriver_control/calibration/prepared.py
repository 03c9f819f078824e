"""One tier made ready for the path: its temperature, what counts as a loss, its score, and whether that is any good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upriver.policies import Fusion
from upriver.scores import Floats, ScoreKind
from upriver_control.calibration.cost_path import Ladder
from upriver_control.calibration.inputs import CalibrationInput, Rows, TierOutputs
from upriver_control.calibration.labels import best_labels, columns_of, label_names
from upriver_control.calibration.outcome import Preflight
from upriver_control.calibration.preflight import preflight
from upriver_control.calibration.scoring import Scored, choose_score, features_of
from upriver_control.calibration.temperature import fit_temperature

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tier below the top. `loses` and `pays`, [rows]: its answer would be a loss, or better than the top's."""

    outputs: TierOutputs
    scored: Scored
    loses: Flags
    pays: Flags
    preflight: Preflight
    fusion: Fusion | None = None
    experts: frozenset[int] = frozenset()
    """The tiers below, by their index, whose answers it fuses."""


def prepare(given: CalibrationInput, tier: TierOutputs) -> Prepared:
    """Fits everything that belongs to one tier on the tuning split."""
    temperature = temperature_of(given, tier)
    return judged(given, tier, features_of(tier, temperature), temperature)


def judged(
    given: CalibrationInput, tier: TierOutputs, features: Mapping[ScoreKind, Floats], temperature: float
) -> Prepared:
    """The tier under the best score that can be made of `features`, each [rows]."""
    loses, pays = outcomes(given, tier)
    scored = choose_score(features, loses, given.tune, given.target.epsilon, temperature)
    return Prepared(tier, scored, loses, pays, preflight(scored.confidence[given.tune], loses[given.tune]))


def outcomes(given: CalibrationInput, tier: TierOutputs) -> tuple[Flags, Flags]:
    """Where the tier's answer loses against the top's, and where it gains (only true labels can tell); [rows] each."""
    top = given.tiers[-1].answered
    if given.truth is None:
        disagrees = ~given.agreement(tier.answered, top)
        return disagrees, np.zeros_like(disagrees)
    truth = np.asarray(given.truth, dtype=np.str_)
    right, top_right = best_labels(tier.answered) == truth, best_labels(top) == truth
    return ~right & top_right, right & ~top_right


def temperature_of(given: CalibrationInput, tier: TierOutputs) -> float:
    """A classifier's temperature against the top's labels, or the true ones; 1 for other tasks."""
    scores = tier.answered.scores
    if not tier.classifies or scores is None:
        return 1.0
    columns = columns_of(standard_labels(given)[given.tune], label_names(tier.answered))
    return fit_temperature(scores[given.tune], columns, are_logits=tier.are_logits)


def standard_labels(given: CalibrationInput) -> NDArray[np.str_]:
    """The labels that classifiers are held against, [rows]: the top's, or the true ones."""
    if given.truth is None:
        return best_labels(given.tiers[-1].answered)
    return np.asarray(given.truth, dtype=np.str_)


def ladder_of(tiers: Sequence[Prepared], rows: Rows, costs: Floats) -> Ladder:
    """The ladder of some of the questions."""
    return Ladder(
        [tier.scored.confidence[rows] for tier in tiers],
        [tier.scored.risk[rows] for tier in tiers],
        [tier.loses[rows] for tier in tiers],
        costs,
        [tier.experts for tier in tiers],
    )
