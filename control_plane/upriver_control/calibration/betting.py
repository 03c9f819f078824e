"""Tests of a mean by betting, for losses that can also pay back: wealth that grows only if the mean is below the bound.

If the mean of G were at least epsilon, the wealth Π(1 + λ(ε - G_t)) of a bet that is fixed beforehand would not grow in
expectation, so it ever reaches 1/δ with probability of at most δ (Ville 1939). A mixture of such bets is one more.

Source: Waudby-Smith and Ramdas 2023, section 4 (the hedged capital process with a fixed mixture in the place of λ_t).
"""

import math

import numpy as np
from numpy.typing import NDArray

from upriver.scores import Floats

_BETS = 24
_SMALLEST, _LARGEST = 1e-3, 0.98
"""Bets as shares of 1/(1 - ε), where one loss takes everything."""


def p_value(losses: NDArray[np.int8], epsilon: float, expected: NDArray[np.int8] | None = None) -> float:
    """The p-value of "the mean is above epsilon" for `losses`, [questions] in {-1, 0, 1}.

    The order of questions must not depend on what they are; the wealth's maximum over time is what counts. `expected`
    are such losses on other questions (the tuning split): half of the wealth bets on more of the same.
    """
    bets = np.geomspace(_SMALLEST, _LARGEST, _BETS) / (1.0 - epsilon)
    shares = np.full(_BETS, 1.0 / _BETS)
    if expected is not None and len(expected):
        bets = np.append(bets, _best_bet(expected, bets, epsilon))
        shares = np.append(shares / 2, 0.5)
    return min(1.0, math.exp(-_best_log_wealth(losses, bets, shares, epsilon)))


def _best_bet(losses: NDArray[np.int8], bets: Floats, epsilon: float) -> float:
    """Which of finely spaced bets would have grown fastest, had there been half a loss more."""
    fine = np.geomspace(bets[0], bets[-1], 8 * len(bets))
    lost, won = int((losses > 0).sum()), int((losses < 0).sum())
    growth = (lost + 0.5) * np.log1p(fine * (epsilon - 1.0)) + won * np.log1p(fine * (epsilon + 1.0))
    growth += (len(losses) - lost - won) * np.log1p(fine * epsilon)
    return float(fine[growth.argmax()])


def _best_log_wealth(losses: NDArray[np.int8], bets: Floats, shares: Floats, epsilon: float) -> float:
    """The highest log of the mixture's wealth over time. Between two questions with G ≠ 0 wealth only grows."""
    events = np.flatnonzero(losses)
    before = np.concatenate([events, [len(losses)]])  # just before each event, and at the end
    won = np.log1p(bets * epsilon)[np.newaxis, :]
    steps = np.log1p(bets[np.newaxis, :] * (epsilon - losses[events].astype(np.float64)[:, np.newaxis]))
    after = np.concatenate([np.zeros((1, len(bets))), np.cumsum(steps, axis=0)])
    quiet = before - np.arange(len(before))
    log_wealth = np.concatenate([after + quiet[:, np.newaxis] * won, after[1:] + quiet[:-1, np.newaxis] * won])
    largest = log_wealth.max(axis=1)
    mixed = largest + np.log(np.exp(log_wealth - largest[:, np.newaxis]) @ shares)
    return float(mixed.max(initial=0.0))
