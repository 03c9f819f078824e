"""Exact tails of the binomial distribution, without SciPy, which devices do not have. Pure.

Terms are taken relative to the first one, whose logarithm comes from log-gamma, so that nothing under- or overflows.
Source: Clopper and Pearson 1934 for what the tails are used for.
"""

import math


def at_most(count: int, trials: int, p: float) -> float:
    """P(X ≤ count) for X ~ Binomial(trials, p), `p` in [0, 1]; exact to about 1e-12 of its value."""
    if count < 0:
        return 0.0
    if count >= trials or p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0
    if count + 1 > p * (trials + 1):  # the other tail is the shorter sum and loses nothing
        return max(0.0, 1.0 - _upper(count + 1, trials, p))
    return _lower(count, trials, p)


def at_least(count: int, trials: int, p: float) -> float:
    """P(X ≥ count) for X ~ Binomial(trials, p)."""
    return at_most(trials - count, trials, 1.0 - p)


def allowed(trials: int, p: float, delta: float) -> int:
    """The most losses of `trials` that refute "the share of losses is above p" at level delta; -1: not even none."""
    low, high = -1, max(0, math.ceil(trials * p))  # at the mean the tail is about one half
    if trials <= 0 or at_most(0, trials, p) > delta:
        return -1
    while high - low > 1:
        middle = (low + high) // 2
        if at_most(middle, trials, p) <= delta:
            low = middle
        else:
            high = middle
    return low


def _lower(count: int, trials: int, p: float) -> float:
    """The sum down from the term of `count`, where terms fall."""
    term = total = 1.0
    odds = (1.0 - p) / p
    for k in range(count, 0, -1):
        term *= k * odds / (trials - k + 1)
        total += term
        if term < 1e-17 * total:
            break
    return math.exp(_log_term(count, trials, p) + math.log(total))


def _upper(count: int, trials: int, p: float) -> float:
    """The sum up from the term of `count`, where terms fall."""
    term = total = 1.0
    odds = p / (1.0 - p)
    for k in range(count, trials):
        term *= (trials - k) * odds / (k + 1)
        total += term
        if term < 1e-17 * total:
            break
    return math.exp(_log_term(count, trials, p) + math.log(total))


def _log_term(count: int, trials: int, p: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return ways + count * math.log(p) + (trials - count) * math.log1p(-p)
