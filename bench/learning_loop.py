"""The loop of learning from what was asked above, in one process: questions, lessons, candidates, the gate, promotions.

It is the agent's arithmetic (coin, statistics, fit, temperature, gate) on embeddings that were computed before, so that
20,000 questions take a second. Pure: a seed gives the same course anywhere.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.streams import Indices, Stream
from upriver.binomial import allowed
from upriver.head_fit import fit, joined
from upriver.head_statistics import HeadStatistics, nothing, shares_of, target_of
from upriver.promises import Promise
from upriver.scores import Floats, ScoreKind, confidences
from upriver_agent.coin import draw, limit, numbers
from upriver_agent.learning.gate import GRID, Scored, judge
from upriver_agent.learning.practice import (
    FEWEST_LESSONS,
    GROWTH,
    MOST_PRACTISED,
    Progress,
    practise,
    prospect,
    rising_share,
    worth_practising,
)

Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]

BLOCK: Final = 50
"""Questions between two looks at whether to try a candidate."""
TELLING: Final = 30
"""From so many questions held out on their number tells how many go up, as an agent has it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the models made of every digit.

    `embedding` is the device's [digits, width], as journals keep it (fp16); `own` its probabilities of the labels that
    it knows, [digits, known]; `told` the top's of all labels, [digits, labels]; `truth` the labels, [digits].
    """

    embedding: NDArray[np.float16]
    own: Floats
    told: Floats
    truth: Labels

    @property
    def top(self) -> Labels:
        """What the top says, [digits]."""
        found: Labels = self.told.argmax(axis=1)
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """`epsilon` and `delta` of the promise, `holdout` the share that is never learnt from, of which the first `wanted`
    are audited for the gate, and whether there is one: without it every candidate is promoted, with the threshold at
    which what it learnt from would lose `epsilon`."""

    epsilon: float = 0.01
    delta: float = 0.05
    holdout: float = 0.4
    wanted: int = 2_000
    gated: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """What answers: `weights` of a head, None for the version's own last layer, and from which confidence on."""

    weights: NDArray[np.float32] | None
    temperature: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Promotion:
    """A pair that became the one that answers, after so many `questions` and `lessons`.

    `escalates` and `loses` are shares of the questions that were still to come and of those kept aside: what it truly
    does. `certified` says whether the gate let it through.
    """

    questions: int
    lessons: int
    held_out: int
    attempt: int
    escalates: float
    loses: float
    certified: bool
    pair: Pair


@dataclass
class Course:
    """One run. Per question asked: whether it was escalated, whether it became a lesson, which label came back."""

    escalated: Flags
    lessons: Flags
    labels: Labels
    audits: int = 0
    attempts: int = 0
    promotions: list[Promotion] = field(default_factory=list)
    learnt: HeadStatistics | None = None


def static_pair(seen: Seen, stream: Stream, settings: Settings) -> Pair:
    """The version's own last layer, with the lowest threshold of the grid that the questions aside certify."""
    rows = stream.aside
    sure = seen.own[rows].max(axis=1)
    lost = np.sort(sure[seen.own[rows].argmax(axis=1) != seen.top[rows]])
    losses = len(lost) - np.searchsorted(lost, GRID, side="left")
    passing = np.flatnonzero(losses <= allowed(len(rows), settings.epsilon, settings.delta))
    return Pair(None, 1.0, float(GRID[passing[0]]) if len(passing) else math.inf)


def answered(seen: Seen, pair: Pair, rows: Indices) -> tuple[Labels, Floats]:
    """A pair's labels and confidences, both [rows]."""
    if pair.weights is None:
        own = seen.own[rows]
        return own.argmax(axis=1), own.max(axis=1)
    logits = seen.embedding[rows].astype(np.float32) @ pair.weights[:-1] + pair.weights[-1]
    sure = confidences(ScoreKind.MAX_PROBABILITY, logits, are_logits=True, temperature=pair.temperature)
    return logits.argmax(axis=1), sure


def run(seen: Seen, stream: Stream, prior: HeadStatistics, static: Pair, settings: Settings, seed: int) -> Course:
    """Asks everything, learning or (a holdout of 1) not; `prior` has a column for every label of the top."""
    return _Run(seen, stream, prior, static, settings, seed).course


class _Run:
    def __init__(
        self, seen: Seen, stream: Stream, prior: HeadStatistics, static: Pair, settings: Settings, seed: int
    ) -> None:
        count = len(stream.asked)
        self._seen, self._stream, self._settings = seen, stream, settings
        self._prior, self._active = prior, static
        self._held_out = np.zeros(0, np.intp)
        self._learnt = nothing(prior.width, prior.labels)
        self._recent = np.zeros(0, np.intp)
        self._tried = (0, 0)
        self._asked = 0
        flags = np.zeros(count, np.bool_)
        self.course = Course(flags, flags.copy(), np.zeros(count, np.int64), learnt=self._learnt)
        tossed = numbers(seed * 0x5851F42D4C957F2D)
        below = limit(settings.holdout)
        self._is_held_out = np.array([draw(next(tossed)) < below for _ in range(count)], np.bool_)
        for at in range(0, count, BLOCK):
            self._ask(at, min(count, at + BLOCK))
            candidate = self._candidate()
            if candidate is None:
                continue
            threshold = self._proven(candidate) if settings.gated else self._believed(candidate)
            if threshold is not None:
                self._promote(replace(candidate, threshold=threshold))

    def _ask(self, start: int, stop: int) -> None:
        rows = self._stream.asked[start:stop]
        labels, sure = answered(self._seen, self._active, rows)
        up = sure < self._active.threshold
        aside = self._is_held_out[start:stop]
        course = self.course
        course.escalated[start:stop] = up
        course.labels[start:stop] = np.where(up, self._seen.top[rows], labels)
        course.lessons[start:stop] = up & ~aside
        if len(self._held_out) < self._settings.wanted:
            course.audits += int((aside & ~up).sum())
            self._held_out = np.concatenate([self._held_out, rows[aside]])
        self._learn(rows[up & ~aside])
        self._asked = stop

    def _learn(self, rows: Indices) -> None:
        h = np.hstack([self._seen.embedding[rows].astype(np.float64), np.ones((len(rows), 1))])
        self._learnt.outer += h.T @ h
        self._learnt.toward += h.T @ self._targets(rows)
        self._recent = np.concatenate([self._recent, rows])[-MOST_PRACTISED:]

    def _targets(self, rows: Indices) -> Floats:
        """Of lessons, [rows, labels]."""
        labels = self._prior.labels
        own = labels[: self._seen.own.shape[1]]
        found = np.zeros((len(rows), len(labels)))
        for target, told in zip(found, self._seen.told[rows], strict=True):
            shares = dict(zip(labels, told.tolist(), strict=True))
            target[:] = target_of(labels, shares_of(labels[int(told.argmax())], shares, own))
        return found

    def _candidate(self) -> Pair | None:
        """The head of all lessons so far, if trying it is worth an attempt now."""
        course, settings = self.course, self._settings
        progress = self._progress()
        promise = Promise(settings.epsilon, settings.delta)
        if settings.gated and worth_practising(progress, promise):
            return None
        if not settings.gated and (progress.lessons < FEWEST_LESSONS or progress.lessons < GROWTH * self._tried[0]):
            return None
        recent = self._recent[-MOST_PRACTISED:]
        targets = self._targets(recent)
        practised = practise(self._prior, self._learnt, self._seen.embedding[recent], targets, np.ones(len(recent)))
        if settings.gated and prospect(practised, progress, promise).why:
            return None
        course.attempts += 1
        self._tried = (progress.lessons, len(self._held_out))
        weights = fit(joined(self._prior, self._learnt)).astype(np.float32)
        return Pair(weights, practised.temperature, math.inf)

    def _progress(self) -> Progress:
        lessons, held_out = int(self._learnt.lessons + 0.5), len(self._held_out)
        before = self.course.promotions[-1:]
        since = (lessons - before[0].lessons, held_out - before[0].held_out) if before else (lessons, held_out)
        share = self._settings.holdout
        rising = rising_share(since[0], since[1] / share, share) if since[1] >= TELLING else 1.0
        return Progress(lessons, held_out, *self._tried, self.course.attempts, rising)

    def _promote(self, pair: Pair) -> None:
        self._active = pair
        rest = np.concatenate([self._stream.asked[self._asked :], self._stream.aside])
        labels, sure = answered(self._seen, pair, rest)
        here = sure >= pair.threshold
        lost = here & (labels != self._seen.top[rest])
        self.course.promotions.append(
            Promotion(
                self._asked,
                int(self.course.lessons.sum()),
                len(self._held_out),
                self.course.attempts,
                1.0 - float(here.mean()),
                float(lost.mean()),
                self._settings.gated,
                pair,
            )
        )

    def _proven(self, candidate: Pair) -> float | None:
        """The threshold that the gate lets through; None when it lets none."""
        rows = self._held_out
        labels, sure = answered(self._seen, candidate, rows)
        _, now = answered(self._seen, self._active, rows)
        everywhere = np.ones(len(rows), np.bool_)
        scored = Scored(sure, labels == self._seen.top[rows], now >= self._active.threshold, everywhere)
        promise = Promise(self._settings.epsilon, self._settings.delta)
        trial = judge(scored, promise, self.course.attempts)
        return trial.threshold if trial.passed else None

    def _believed(self, candidate: Pair) -> float:
        """The threshold that one would take who looked at nothing but what was learnt from."""
        rows = self._recent
        labels, sure = answered(self._seen, candidate, rows)
        lost = np.sort(sure[labels != self._seen.top[rows]])
        losses = len(lost) - np.searchsorted(lost, GRID, side="left")
        return float(GRID[np.flatnonzero(losses <= self._settings.epsilon * len(rows))[0]])
