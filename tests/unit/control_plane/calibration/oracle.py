"""Questions whose risk is known: difficulty u is uniform on [0, 1], tier i is wrong with probability a·u^b.

The tiers' confidence is 1 - u, so what a threshold loses is an integral that can be written down.
"""

from dataclasses import dataclass

import numpy as np

from upriver.agreement import Agreement, Answered
from upriver.policies import Form
from upriver.scores import ScoreKind
from upriver_control.calibration.inputs import CalibrationInput, Target, TierOutputs, hop_costs

DIGEST = "sha256:" + "0" * 63
TIERS = ("device", "far-edge", "cloud")
TARGET = Target(0.01, 0.1, Form.JOINT)
NUMBERS = Agreement("tolerance", {"absolute": 0.5, "relative": 0.0})


@dataclass(frozen=True)
class Difficulty:
    """One tier's risk a·u^b."""

    a: float
    b: float

    def lost(self, low, high):
        """What is lost when it answers all questions of difficulty low to high."""
        power = self.b + 1
        return self.a / power * (max(high, low) ** power - low**power)


def risk_of(tiers, thresholds):
    """The cascade's true risk under thresholds of confidence 1 - u."""
    total, reached = 0.0, 0.0
    for tier, threshold in zip(tiers, thresholds, strict=True):
        border = min(max(1.0 - threshold, 0.0), 1.0)
        total += tier.lost(reached, border)
        reached = max(reached, border)
    return total


def share_of(thresholds):
    """The share of questions that is answered below the top."""
    return max(min(max(1.0 - threshold, 0.0), 1.0) for threshold in thresholds)


def drawn(rng, tiers, tune, calibrate, target=TARGET, confidence=lambda u: 1.0 - u):
    """A calibration of models that put out one number and their own confidence; a wrong number is one off."""
    rows = tune + calibrate
    u = rng.random(rows)
    outputs = [
        TierOutputs(
            TIERS[at],
            DIGEST + str(at),
            Answered(values=(rng.random(rows) < tier.a * u**tier.b).astype(np.float64)),
            confidences={ScoreKind.SCALAR: confidence(u)},
        )
        for at, tier in enumerate(tiers)
    ]
    outputs.append(TierOutputs("cloud", DIGEST + "9", Answered(values=np.zeros(rows))))
    order = np.arange(rows)
    costs = hop_costs([10.0] * len(tiers))
    return CalibrationInput(tuple(outputs), order[:tune], order[tune:], costs, target, DIGEST + "8", NUMBERS)
