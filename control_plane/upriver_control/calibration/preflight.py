"""Before a tier may answer anything itself: does its score tell right from wrong at all (tuning split)?

AURC: Geifman and El-Yaniv 2017.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from upriver.scores import Floats
from upriver_control.calibration.outcome import Preflight

LEAST_AUROC: Final = 0.6
LEAST_SURE: Final = 0.2


def preflight(confidence: Floats, wrong: NDArray[np.bool_]) -> Preflight:
    """Judges one tier's confidence, [rows] (-inf: never), by where it disagrees with the top, [rows].

    With nothing to tell apart AUROC is 1 (no disagreement: such a tier is fit) or 0.5 (nothing else: it is not).
    """
    rows, bad = len(wrong), int(wrong.sum())
    if not rows:
        return Preflight(0.5, 1.0, 0.0, 0, 0, fit=False)
    auroc = _auroc(confidence, wrong)
    return Preflight(auroc, _aurc(confidence, wrong), _caught(confidence, wrong), bad, rows, fit=auroc >= LEAST_AUROC)


def _auroc(confidence: Floats, wrong: NDArray[np.bool_]) -> float:
    """P(score of an agreement > score of a disagreement), ties half: the rank-sum statistic."""
    bad = int(wrong.sum())
    good = len(wrong) - bad
    if not bad:
        return 1.0
    if not good:
        return 0.5
    ranks = rankdata(confidence)
    return float((ranks[~wrong].sum() - good * (good + 1) / 2) / (good * bad))


def _aurc(confidence: Floats, wrong: NDArray[np.bool_]) -> float:
    """Mean over coverages of the share of disagreements among the surest; ties count as if in random order."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.concatenate([starts, [len(order)]]))
    shares = np.add.reduceat(wrong[order].astype(np.float64), starts) / sizes
    expected = np.repeat(shares, sizes)
    return float((np.cumsum(expected) / np.arange(1, len(order) + 1)).mean())


def _caught(confidence: Floats, wrong: NDArray[np.bool_]) -> float:
    bad = int(wrong.sum())
    if not bad:
        return 1.0
    count = math.ceil(LEAST_SURE * len(wrong))
    border = np.sort(confidence)[count - 1]
    below, at = confidence < border, confidence == border
    share_at = (count - below.sum()) / at.sum()
    return float((wrong[below].sum() + share_at * wrong[at].sum()) / bad)
