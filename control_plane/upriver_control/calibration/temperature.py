"""The temperature that makes a classifier's probabilities mean what they say (Guo et al. 2017)."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from upriver.scores import Floats

BOUNDS: Final = (0.05, 20.0)
_FLOOR: Final = 1e-12
"""The least probability that is believed: one answer that had none would otherwise decide alone."""


def fit_temperature(scores: NDArray[Any], labels: NDArray[np.intp], *, are_logits: bool) -> float:
    """argmin over T of the mean NLL of softmax(z / T), within BOUNDS; labels are columns, [rows], -1 for none of them.

    Rows without a label or with scores that say nothing are left out; with none left, and with one class, it is 1.
    """
    logits = _logits(scores, are_logits)
    usable = np.isfinite(logits).any(axis=1) & ~np.isnan(logits).any(axis=1) & (labels >= 0)
    usable &= ~np.isposinf(logits).any(axis=1)
    if logits.shape[1] < 2 or not usable.any():
        return 1.0
    centred, right = logits[usable], labels[usable]
    centred = np.maximum(centred - centred.max(axis=1, keepdims=True), -1e6)
    own = centred[np.arange(len(right)), right]

    def loss(log_t: float) -> float:
        t = math.exp(log_t)
        log_p = own / t - np.log(np.exp(centred / t).sum(axis=1))
        return float(-np.maximum(log_p, math.log(_FLOOR)).mean())

    low, high = (math.log(bound) for bound in BOUNDS)
    found = float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    best = min((found, 0.0), key=loss)
    return float(np.clip(math.exp(best), *BOUNDS))


def _logits(scores: NDArray[Any], are_logits: bool) -> Floats:
    values: Floats = scores.astype(np.float64)
    if are_logits:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        logits: Floats = np.log(np.maximum(values, 0.0))
    return logits
