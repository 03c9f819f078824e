"""What the lessons themselves say of a candidate before it is tried on the holdout, so that attempts are not wasted.

Each lesson is answered by a head that was fitted without it: lessons are in groups, and a group's sums are taken out of
all. That says how hot the head's probabilities are, and what it would do on questions such as go up now. It knows
nothing of the holdout, whose tests it may therefore choose the time of. Pure.

An attempt is worth it when there are more lessons or a larger holdout than at the last one by a factor, when few enough
losses are to be expected for the certificate, and when what it would answer here shows in the other test.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.binomial import allowed
from upriver.head_fit import fit, joined, temperature_of
from upriver.head_statistics import HeadStatistics
from upriver.promises import Promise, delta_of, least_questions
from upriver.scores import Floats
from upriver_agent.learning.gate import GRID

GROUPS: Final = 5
GROWTH: Final = 1.5
"""From one attempt to the next, lessons or holdout have grown by this factor; measured: 1.25 and 2 do as well."""
FEWEST_LESSONS: Final = 20
MOST_PRACTISED: Final = 4096
"""Lessons that are looked at, the latest; more would say the same."""
_LEAST_GAIN: Final = 0.1
"""Of what goes up now, a candidate should answer so much."""
_FEWEST_GAINED: Final = 6
"""With fewer questions that only one of two answers, nothing shows at 5 %."""


@dataclass(frozen=True, slots=True)
class Practised:
    """How lessons were answered by heads that had not seen them: [lessons], in the order in which they came.

    `confidence` is the largest probability at `temperature`, `right` whether the label is the lesson's.
    """

    temperature: float
    confidence: Floats
    right: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What to expect of an attempt now. `why` says why none is worth it, empty when one is."""

    gain: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where learning stands: lessons and questions held out, now and at the last attempt; `attempts` so far.

    `rising` is the share of questions that goes up now, as far as lessons and holdout tell by how many they are.
    """

    lessons: int
    held_out: int
    lessons_then: int
    held_out_then: int
    attempts: int
    rising: float


def practise(
    prior: HeadStatistics, lessons: HeadStatistics, embeddings: NDArray[np.float16], targets: Floats, weights: Floats
) -> Practised:
    """Answers lessons, `embeddings` [lessons, embedding] and `targets` [lessons, labels], each of which is in `lessons`
    with its weight of `weights` [lessons].

    `lessons` may be of more than those; its labels are the columns of `targets`, and begin with the prior's.
    """
    count = len(embeddings)
    h = np.hstack([embeddings.astype(np.float64), np.ones((count, 1))])
    group = np.arange(count) % GROUPS
    logits = np.zeros((count, len(lessons.labels)))
    for number in range(min(GROUPS, count)):
        held = group == number
        out = (h[held] * weights[held, np.newaxis]).T
        rest = HeadStatistics(lessons.labels, lessons.outer - out @ h[held], lessons.toward - out @ targets[held])
        logits[held] = h[held] @ fit(joined(prior, rest))
    labels = targets.argmax(axis=1).astype(np.intp)
    temperature = temperature_of(logits, labels)
    z = logits / temperature
    z -= z.max(axis=1, keepdims=True, initial=-math.inf)
    confidence = 1.0 / np.exp(z).sum(axis=1)
    return Practised(temperature, confidence, logits.argmax(axis=1) == labels)


def worth_practising(progress: Progress, promise: Promise) -> str:
    """Why an attempt can't be worth it yet, by numbers alone; empty when it may be."""
    if progress.lessons < FEWEST_LESSONS:
        return f"{progress.lessons} lessons: expected at least {FEWEST_LESSONS} before a first attempt"
    if progress.attempts and not _grown(progress):
        return (
            f"attempt {progress.attempts} was with {progress.lessons_then} lessons and {progress.held_out_then} "
            f"questions held out: the next one is when either has grown by {GROWTH:g}"
        )
    level = delta_of(promise.delta, progress.attempts + 1)
    if allowed(progress.held_out, promise.epsilon, level) < 0:
        needed = least_questions(promise.epsilon, level)
        return f"{progress.held_out} questions held out: at least {needed} are needed to prove {promise.epsilon:g}"
    return ""


def prospect(practised: Practised, progress: Progress, promise: Promise) -> Prospect:
    """What an attempt now may bring."""
    level = delta_of(promise.delta, progress.attempts + 1)
    most = allowed(progress.held_out, promise.epsilon, level)
    count = max(1, len(practised.right))
    rising = progress.held_out * progress.rising
    lost = np.sort(practised.confidence[~practised.right])
    losses = rising * (len(lost) - np.searchsorted(lost, GRID, side="left")) / count
    within = np.flatnonzero(losses + np.sqrt(losses) <= most)
    if not len(within):
        return Prospect(0.0, "by its lessons it would lose more than can be proven")
    gain = float((practised.confidence >= GRID[within[0]]).mean()) if len(practised.right) else 0.0
    if gain < _LEAST_GAIN or gain * rising < _FEWEST_GAINED:
        return Prospect(gain, f"by its lessons it would answer {gain:.0%} of what goes up now: too little to show")
    return Prospect(gain)


def rising_share(lessons: int, asked: float, holdout: float) -> float:
    """The share of questions that go up, by how many lessons came of so many questions that were asked.

    Lessons are of those that draw at least `holdout`.
    """
    if asked <= 0.0 or not 0.0 < holdout < 1.0:
        return 1.0
    return min(1.0, lessons / (1.0 - holdout) / asked)


def _grown(progress: Progress) -> bool:
    begun_anew = (
        GROWTH * progress.held_out < progress.held_out_then or GROWTH * progress.lessons < progress.lessons_then
    )
    more = progress.lessons >= GROWTH * progress.lessons_then or progress.held_out >= GROWTH * progress.held_out_then
    return more or begun_anew
