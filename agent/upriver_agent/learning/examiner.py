"""Makes candidates of lessons and has them tried: each attempt is counted on the disk before its test is looked at."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from upriver.head_statistics import HeadStatistics
from upriver.promises import Promise
from upriver_agent.giving_way import pause
from upriver_agent.journal import Journal
from upriver_agent.learning import holdout, practice, trials
from upriver_agent.learning.attempts import AttemptBook
from upriver_agent.learning.candidate import (
    Candidate,
    candidate_of,
    fitted,
    holdout_of,
    learnt_labels,
    policy_of,
)
from upriver_agent.learning.course import Course
from upriver_agent.learning.gate import Trial, judge
from upriver_agent.learning.holdout import Key
from upriver_agent.learning.practice import Practised, Progress, practise
from upriver_agent.learning.trials import Tried
from upriver_agent.lessons.book import LessonBook
from upriver_agent.lessons.lesson import Choice, Lesson, State
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.refiner import Current, Refiner
from upriver_agent.versions.manifest import ScoresAre

_PAGE: Final = 64
_TELLING: Final = 30
"""From so many questions held out on their number tells how many go up."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What learning is made of. `prior_of` gives a version's prior, None without one; `audited` is told of each answer
    by a tier between that the top was asked about too: teacher, its pair, and whether the top agrees."""

    journal: Journal
    book: LessonBook
    refiner: Refiner
    attempts: AttemptBook
    prior_of: Callable[[LoadedVersion], HeadStatistics | None]
    audited: Callable[[str, str, bool], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Lessons at one moment, and how those that were practised fared."""

    sums: HeadStatistics
    lessons: int
    until: int
    practised: Practised


class Examiner:
    """Tries heads for one agent, on one thread. `lock` is held while sums are looked at."""

    def __init__(self, parts: Parts, holdout_share: float, lock: threading.Lock, clock: Callable[[], float]) -> None:
        self._parts = parts
        self._holdout_share = holdout_share
        self._lock = lock
        self._clock = clock

    def progress(self, model: str, course: Course, key: Key) -> Progress:
        """Where learning stands. Raises DiskTrouble."""
        read = self._parts.journal.read
        held_out = read(partial(holdout.count, key=key))
        before = self._parts.attempts.of(key)
        last = read(partial(trials.last_promoted, model=model))
        until, at = (last.until, last.at) if last is not None and last.version == course.version else (0, 0.0)
        with self._lock:
            lessons = len(course.sums)
            newer = lessons - course.sums.up_to(until)
        since, asked = read(partial(holdout.asked, key=key, since=at))
        rising = practice.rising_share(newer, asked, self._holdout_share) if since >= _TELLING else 1.0
        return Progress(lessons, held_out, before.lessons, before.held_out, before.number, rising)

    def snapshot(self, model: str, course: Course) -> Snapshot:
        """Lessons as they are now. Raises DiskTrouble."""
        choice = Choice(model=model, version_digest=course.version, states=frozenset({State.TAKEN}))
        with self._lock:
            sums = course.sums.apart()  # lessons come and go while they are read: nobody waits for that
        statistics, after = sums.statistics(), sums.after(practice.MOST_PRACTISED)
        found: list[Lesson] = []
        while page := self._parts.book.page(choice, after, _PAGE) if after < sums.newest else []:
            found += [lesson for lesson in page if sums.has(lesson.seq)]
            after = page[-1].seq
            pause()
        targets = [sums.target(lesson.label, lesson.probabilities) for lesson in found]
        weights = np.array([sums.weight(lesson.seq) for lesson in found])
        embeddings = np.array([lesson.embedding for lesson in found], np.float16).reshape(len(found), sums.width)
        rows = np.array(targets).reshape(len(found), len(statistics.labels))
        practised = practise(course.prior, statistics, embeddings, rows, weights)
        return Snapshot(statistics, len(sums), sums.newest, practised)

    def attempt(
        self,
        course: Course,
        current: Current,
        key: Key,
        promise: Promise,
        snapshot: Snapshot,
        against: LoadedVersion,
    ) -> Trial:
        """Tries a head, and has it answer if it passes; `against` is what it must escalate less than.

        Raises DiskTrouble, NotNow, ModelInvalid or ManifestError, and then what answered does.
        """
        model, journal = current.given.model, self._parts.journal
        candidate = _candidate(course, current, snapshot)
        held_out = journal.read(partial(holdout.read, key=key, width=course.sums.width))
        number = self._parts.attempts.begin(key, snapshot.lessons, len(held_out.ids))
        are_logits = current.given.version.manifest.outputs.scores_are is ScoresAre.LOGITS
        trial = judge(holdout_of(candidate, against, are_logits, held_out), promise, number)
        tried = Tried(
            model, course.version, self._clock(), candidate.digest, candidate.lessons, candidate.until, False, trial
        )
        journal.write(partial(trials.add, tried=tried)).result()
        if trial.passed:
            policy = policy_of(current.given.policy.document, candidate, trial, held_out)
            self._parts.refiner.promote(model, current.base, policy, candidate.data, snapshot.lessons, number)
            journal.write(partial(trials.promoted, model=model, head=candidate.digest)).result()
        return trial

    def tried(self, model: str, head: str) -> Tried | None:
        """The trial that a head passed; None when none is kept. Raises DiskTrouble."""
        return self._parts.journal.read(partial(trials.of_head, model=model, head=head)) if head else None


def _candidate(course: Course, current: Current, snapshot: Snapshot) -> Candidate:
    labels = learnt_labels(current.given.version.labels, current.answering.form.labels, snapshot.sums)
    head = fitted(course.version, labels, course.prior, snapshot.sums, snapshot.practised.temperature)
    return candidate_of(head, snapshot.lessons, snapshot.until)
