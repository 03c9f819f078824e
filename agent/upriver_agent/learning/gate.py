"""The gate: whether a candidate head may answer, by questions that it never learnt from and what the top said. Pure.

What is proven and how is in `upriver.promises`. The grid of thresholds is fixed, so it knows nothing of the holdout.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.promises import FEWER, Promise, delta_of, least_questions, p_fewer, p_loss, prove
from upriver.scores import Floats

Flags = NDArray[np.bool_]

GRID: Final[Floats] = 1.0 - np.geomspace(1.0, 1e-7, 169)
"""Thresholds of a largest probability, rising: 24 for each power of ten of what is missing to 1."""
GRID.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Scored:
    """The holdout as a candidate and what answers now see it; all [questions].

    `confidence` is the candidate's (-inf: never), `agrees` whether its label is the top's, `passes` whether what
    answers now would not have escalated, `known` whether that is known.
    """

    confidence: Floats
    agrees: Flags
    passes: Flags
    known: Flags


@dataclass(frozen=True, slots=True)
class Trial:
    """How a candidate fared in its attempt. `why` says why it is not promoted, empty when it is.

    `losses` of `questions` would be lost at `threshold`, which `coverage` of them pass; `p_loss` is the p-value of
    "more than epsilon is lost" and was to be at most `delta`. `gained` questions would be answered here that go up now,
    `given_up` the other way round, and `p_fewer` is the p-value of "it does not escalate less".
    """

    attempt: int
    epsilon: float
    delta: float
    questions: int
    threshold: float
    losses: int
    coverage: float
    p_loss: float
    gained: int
    given_up: int
    p_fewer: float
    why: str = ""

    @property
    def passed(self) -> bool:
        """Whether the candidate may answer."""
        return not self.why


def judge(scored: Scored, promise: Promise, attempt: int, grid: Floats = GRID) -> Trial:
    """Tests a candidate. `grid`, rising, must not depend on the holdout; `attempt` must have been counted before."""
    questions = len(scored.confidence)
    level = delta_of(promise.delta, attempt)
    sure, lost = np.sort(scored.confidence), np.sort(scored.confidence[~scored.agrees])
    answered = questions - np.searchsorted(sure, grid, side="left")
    losses = len(lost) - np.searchsorted(lost, grid, side="left")
    proof = prove(losses, answered, questions, promise.epsilon, level)
    if proof.at is None:
        best = int(losses[-1])
        why = "where it is sure it is sure of too little, or wrong too often" if proof.any_proven else ""
        why = why or _too_few(questions, promise, level)
        p = p_loss(best, questions, promise.epsilon)
        return Trial(attempt, promise.epsilon, level, questions, math.inf, best, 0.0, p, 0, 0, 1.0, why)
    at = proof.at
    threshold = float(grid[at])
    here = scored.confidence >= threshold
    gained = int((here & ~scored.passes & scored.known).sum())
    given_up = int((~here & scored.passes & scored.known).sum())
    fewer = p_fewer(gained, given_up)
    told = f"it does not escalate less: {gained} questions gained, {given_up} given up (p = {fewer:.3g})"
    return Trial(
        attempt,
        promise.epsilon,
        level,
        questions,
        threshold,
        int(losses[at]),
        int(answered[at]) / questions,
        p_loss(int(losses[at]), questions, promise.epsilon),
        gained,
        given_up,
        fewer,
        told if fewer > FEWER else "",
    )


def _too_few(questions: int, promise: Promise, level: float) -> str:
    needed = least_questions(promise.epsilon, level)
    if questions < needed:
        return f"{questions} questions held out: at least {needed} are needed to prove {promise.epsilon:g}"
    return f"where it is surest it already loses more than can be proven to be within {promise.epsilon:g}"
