"""Differential privacy of what an agent sends: how much noise hides one lesson, and what it comes to. Pure.

One lesson, its embedding h clipped to the norm C and its target y with a sum of 1, changes the sums (the lower triangle
of Σ h'h'ᵀ and Σ h'yᵀ, where h' is h with a 1 appended) by at most, in the Euclidean norm,

    Δ = √(c⁴ + c²),   c² = C² + 1

Gaussian noise of z·Δ on each number of a release makes it μ-GDP with μ = 1/z; k releases together are √k·μ-GDP, however
they depend on each other, and μ-GDP is (ε, δ)-differentially private exactly when

    δ ≥ Φ(μ/2 - ε/μ) - e^ε·Φ(-μ/2 - ε/μ)

Neighbours differ by one lesson that is there or not. The names of labels are not hidden, nor how many agents there are.

Sources: Balle and Wang 2018 (the analytic Gaussian mechanism); Dong, Roth and Su 2019 (Gaussian differential privacy,
its composition, and its conversion).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from upriver.head_statistics import HeadStatistics
from upriver.scores import Floats

DELTA = 1e-6
"""The δ that an ε is told for."""
Noise = Callable[[int], Floats]


@dataclass(frozen=True, slots=True)
class Privacy:
    """Noise of `noise` times the sensitivity of embeddings clipped to `norm`, in at most `releases` releases."""

    norm: float
    noise: float
    releases: int

    def __post_init__(self) -> None:
        if self.norm <= 0.0:
            raise ValueError(f"embeddings clipped to {self.norm}: expected a norm above 0, or no noise hides a lesson")

    @property
    def sensitivity(self) -> float:
        """Δ; see the module."""
        square = self.norm**2 + 1.0
        return math.sqrt(square**2 + square)

    @property
    def deviation(self) -> float:
        """The standard deviation of what is added to each number."""
        return self.noise * self.sensitivity

    def epsilon(self, delta: float = DELTA) -> float:
        """The ε of all releases together."""
        return epsilon_of(math.sqrt(self.releases) / self.noise, delta)


def epsilon_of(mu: float, delta: float) -> float:
    """The least ε for which μ-GDP is (ε, δ)-differential privacy, to about 1e-9; 0 where δ alone is enough."""
    if delta_of(mu, 0.0) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while delta_of(mu, high) > delta:
        low, high = high, 2.0 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if delta_of(mu, middle) > delta else (low, middle)
    return high


def delta_of(mu: float, epsilon: float) -> float:
    """The δ that goes with an ε."""
    first = _normal(mu / 2.0 - epsilon / mu)
    beyond = -mu / 2.0 - epsilon / mu
    tail = _normal(beyond)
    # e^ε times a tail that underflows is what Mills' ratio says; it is below what matters by then.
    return max(0.0, first - (math.exp(epsilon + math.log(tail)) if tail > 0.0 else 0.0))


def with_noise(sums: HeadStatistics, deviation: float, noise: Noise) -> HeadStatistics:
    """The sums with noise on each number that is sent; `noise` gives so many independent standard normal numbers."""
    size = len(sums.outer)
    lower = np.tril_indices(size)
    added = np.zeros((size, size))
    added[lower] = deviation * noise(len(lower[0]))
    outer = sums.outer + added + np.tril(added, -1).T
    toward = sums.toward + deviation * noise(sums.toward.size).reshape(sums.toward.shape)
    return HeadStatistics(sums.labels, outer, toward)


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
