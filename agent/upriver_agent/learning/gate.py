"""The gate: whether a candidate head may answer, by questions that it never learnt from and what the top said. Pure.

Learn-then-test as calibrations have it (docs/certificates.md): thresholds from the surest down, each "more than ε of
all questions are answered from here on and otherwise than the top", until one can't be refuted; the last that could is
the candidate's threshold. The grid of thresholds is fixed, so it knows nothing of the holdout. The j-th attempt in the
life of a model tests at

    δ_j = 6 δ / (π² j²),   Σ δ_j = δ,

so that over all attempts together a head that breaks the promise gets through with a probability of at most δ. A head
must besides escalate less than what answers now: of the questions that only one of the two answers by itself, more must
be the candidate's, by a one-sided binomial test at 5 %.

ε is a share of all questions: who answers few of them may be wrong in most and keep the promise. That serves nobody, so
of the proven thresholds the lowest is taken above which fewer than a quarter are wrong, by the same test.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.scores import Floats
from upriver_agent.learning.binomial import allowed, at_least, at_most

Flags = NDArray[np.bool_]

FEWER: Final = 0.05
"""The level of the test that a candidate escalates less."""
MOST_WRONG: Final = 0.25
"""Of the answers that a head gives, fewer must be wrong, whatever it may lose of all questions."""
GRID: Final[Floats] = 1.0 - np.geomspace(1.0, 1e-7, 169)
"""Thresholds of a largest probability, rising: 24 for each power of ten of what is missing to 1."""
GRID.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Promise:
    """What must hold of every head that is promoted: at most `epsilon` lost, but for a probability of `delta`."""

    epsilon: float
    delta: float


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


def delta_of(delta: float, attempt: int) -> float:
    """δ_j of attempt number `attempt`, from 1 on."""
    if attempt < 1:
        raise ValueError(f"attempt {attempt}: expected 1 or more")
    return 6.0 * delta / (math.pi * attempt) ** 2


def judge(scored: Scored, promise: Promise, attempt: int, grid: Floats = GRID) -> Trial:
    """Tests a candidate. `grid`, rising, must not depend on the holdout; `attempt` must have been counted before."""
    questions = len(scored.confidence)
    level = delta_of(promise.delta, attempt)
    sure, lost = np.sort(scored.confidence), np.sort(scored.confidence[~scored.agrees])
    answered = questions - np.searchsorted(sure, grid, side="left")
    losses = len(lost) - np.searchsorted(lost, grid, side="left")
    proven = _proven(losses, questions, promise.epsilon, level)
    at = next((at for at in proven[::-1] if _mostly_right(int(losses[at]), int(answered[at]), promise, level)), None)
    if at is None:
        best = int(losses[-1])
        p_loss = at_most(best, questions, promise.epsilon) if questions else 1.0
        why = "where it is sure it is sure of too little, or wrong too often" if proven else ""
        why = why or _too_few(questions, promise, level)
        return Trial(attempt, promise.epsilon, level, questions, math.inf, best, 0.0, p_loss, 0, 0, 1.0, why)
    threshold = float(grid[at])
    here = scored.confidence >= threshold
    gained = int((here & ~scored.passes & scored.known).sum())
    given_up = int((~here & scored.passes & scored.known).sum())
    p_fewer = at_least(gained, gained + given_up, 0.5)
    told = f"it does not escalate less: {gained} questions gained, {given_up} given up (p = {p_fewer:.3g})"
    return Trial(
        attempt,
        promise.epsilon,
        level,
        questions,
        threshold,
        int(losses[at]),
        int(answered[at]) / questions,
        at_most(int(losses[at]), questions, promise.epsilon),
        gained,
        given_up,
        p_fewer,
        told if p_fewer > FEWER else "",
    )


def _proven(losses: NDArray[np.intp], questions: int, epsilon: float, level: float) -> list[int]:
    """The indices of the thresholds before the first that can't be proven, from the surest down.

    Losses only grow downwards and so do p-values, so the first that fails ends it.
    """
    most = allowed(questions, epsilon, level)
    beyond = np.flatnonzero(losses <= most)  # rising thresholds: falling losses
    return [] if not len(beyond) else list(range(len(losses) - 1, int(beyond[0]) - 1, -1))


def _mostly_right(losses: int, answered: int, promise: Promise, level: float) -> bool:
    return answered > 0 and at_most(losses, answered, max(MOST_WRONG, promise.epsilon)) <= level


def _too_few(questions: int, promise: Promise, level: float) -> str:
    needed = math.ceil(math.log(level) / math.log1p(-promise.epsilon))
    if questions < needed:
        return f"{questions} questions held out: at least {needed} are needed to prove {promise.epsilon:g}"
    return f"where it is surest it already loses more than can be proven to be within {promise.epsilon:g}"
