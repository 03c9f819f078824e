"""What a learnt head must prove before it answers, on counts: of one agent's holdout, or of many together. Pure.

Learn-then-test (docs/certificates.md): thresholds from the surest down, each "more than ε of all questions are answered
from here on and otherwise than the top", until one can't be refuted. The j-th test in the life of whatever keeps the
promise is at

    δ_j = 6 δ / (π² j²),   Σ δ_j = δ,

so that over all of them together a head that breaks the promise gets through with a probability of at most δ.

ε is a share of all questions: who answers few of them may be wrong in most and keep the promise. That serves nobody, so
of the proven thresholds the lowest is taken above which fewer than a quarter are wrong, by the same test. And a head
must escalate less than what answers now: of the questions that only one of the two answers by itself, more must be its
own, by a one-sided binomial test at 5 %.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.binomial import allowed, at_least, at_most

FEWER: Final = 0.05
"""The level of the test that a head escalates less."""
MOST_WRONG: Final = 0.25
"""Of the answers that a head gives, fewer must be wrong, whatever it may lose of all questions."""
_LEAST_EPSILON: Final = 1e-12

Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Promise:
    """At most `epsilon` of all questions are lost, but for a probability of `delta` over all heads ever tried."""

    epsilon: float
    delta: float


@dataclass(frozen=True, slots=True)
class Proof:
    """The threshold that was found, by its place in the grid, None where there is none; `any_proven` says whether any
    keeps the promise, though it may be sure of too little or wrong too often."""

    at: int | None
    any_proven: bool


def delta_of(delta: float, attempt: int) -> float:
    """δ_j of attempt number `attempt`, from 1 on."""
    if attempt < 1:
        raise ValueError(f"attempt {attempt}: expected 1 or more")
    return 6.0 * delta / (math.pi * attempt) ** 2


def least_questions(epsilon: float, level: float) -> int:
    """How many questions without a loss are needed to prove `epsilon` at a level; more than anybody has counts as
    that."""
    epsilon = max(epsilon, _LEAST_EPSILON)
    needed = math.ceil(math.log(level) / math.log1p(-epsilon))
    while at_most(0, needed, epsilon) > level:  # the logarithms were rounded
        needed += 1
    return needed


def prove(losses: Counts, answered: Counts, questions: int, epsilon: float, level: float) -> Proof:
    """The lowest threshold that may be used. `losses` and `answered` are counts at rising thresholds, [thresholds].

    Losses only grow downwards and so do p-values, so the first threshold that can't be proven ends it.
    """
    most = allowed(questions, epsilon, level)
    proven = np.flatnonzero(losses <= most).tolist()
    wrong = max(MOST_WRONG, epsilon)
    for at in proven:
        if answered[at] > 0 and at_most(int(losses[at]), int(answered[at]), wrong) <= level:
            return Proof(at, True)
    return Proof(None, bool(proven))


def p_loss(losses: int, questions: int, epsilon: float) -> float:
    """The p-value of "more than epsilon is lost"."""
    return at_most(losses, questions, epsilon) if questions else 1.0


def p_fewer(gained: int, given_up: int) -> float:
    """The p-value of "it does not escalate less", by the questions that it would answer and what answers now not, and
    the other way round."""
    return at_least(gained, gained + given_up, 0.5)
