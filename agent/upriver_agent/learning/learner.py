"""The learner: keeps sums in step with the lessons, tries heads on the holdout, has those answer that pass.

It runs on one thread of low priority; callers never wait for it. It needs nobody: not the control plane, and the top
only for the audits that the holdout is made of. What it must not forget is on the disk before it counts: lessons and
holdout in the journal, the number of an attempt before its test is looked at, a promotion before it takes effect
(`serving.refiner`).
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from upriver.errors import DiskTrouble, NotNow, UpriverError
from upriver.head_statistics import HeadStatistics
from upriver.listing import is_digest
from upriver_agent.auditing.case import Verdict
from upriver_agent.head import embedding_width, problem_of
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
    promise_of,
)
from upriver_agent.learning.gate import Promise, Trial, judge
from upriver_agent.learning.holdout import Key
from upriver_agent.learning.practice import Practised, Progress, practise
from upriver_agent.learning.sums import LessonSums
from upriver_agent.learning.trials import Tried
from upriver_agent.lessons.book import LessonBook
from upriver_agent.lessons.lesson import Choice, Gone, Lesson, State
from upriver_agent.sections import LearningSection
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.refiner import ALARM, Current, Refiner
from upriver_agent.versions.manifest import ScoresAre

_LOG = logging.getLogger(__name__)
NICER: Final = 10
NO_PRIOR: Final = "its version has no prior.npz: a head would know nothing of what the version was trained on"
BUSY: Final = "the lessons are being counted"
FORGOTTEN: Final = "its head had learnt what must be forgotten, and no other has passed"
BY_OPERATOR: Final = "an operator wants it so"
_TICK_S: Final = 1.0
_IDLE_S: Final = 30.0
_PAGE: Final = 500
_MORE: Final = 1.1
"""Lessons are practised again when they or the holdout have grown by this factor."""
_TELLING: Final = 30
"""From so many questions held out on their number tells how many go up."""


@dataclass(slots=True)
class Course:
    """What is learnt of one version. `why` says why nothing is, or what the next attempt waits for."""

    version: str
    prior: HeadStatistics
    sums: LessonSums
    why: str = ""
    practised: tuple[int, int] = (0, 0)
    """Lessons and questions held out when lessons were last practised."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How learning stands for one model; `why` says what it waits for, or why it does not learn.

    `head` is the digest of the one that was learnt here and answers, empty when none does; `ended` says why the last
    one does no more.
    """

    model: str
    version: str
    lessons: int
    held_out: int
    attempts: int
    held: bool
    why: str
    head: str
    ended: str
    trials: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class LearnerParts:
    """What a learner is made of. `prior_of` gives a version's prior, None without one; `audited` is told of each answer
    by a tier between that the top was asked about too: teacher, its pair, and whether the top agrees."""

    journal: Journal
    book: LessonBook
    refiner: Refiner
    attempts: AttemptBook
    prior_of: Callable[[LoadedVersion], HeadStatistics | None]
    audited: Callable[[str, str, bool], None]


@dataclass(slots=True)
class _Snapshot:
    """Lessons at one moment, and those that are practised."""

    sums: HeadStatistics
    lessons: int
    until: int
    practised: Practised


@dataclass(slots=True)
class _Told:
    """What was told from other threads and is not seen to yet, by model."""

    gone: dict[str, set[int]] = field(default_factory=dict)
    """Numbers of lessons that must leave what answers."""
    eligible: dict[str, bool] = field(default_factory=dict)
    full: dict[str, bool] = field(default_factory=dict)


class Learner:
    """Learns for one agent. Subscribes to lessons and listens to audits; `start` and `close` it."""

    def __init__(
        self,
        parts: LearnerParts,
        section: LearningSection,
        models: Callable[[], Sequence[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`models` gives the names of those that answer; `clock` gives Unix times."""
        self._parts = parts
        self._section = section
        self._models = models
        self._clock = clock
        self._lock = threading.Lock()
        self._deciding = threading.RLock()
        self._courses: dict[str, Course] = {}
        self._told = _Told()
        self._held: frozenset[str] = frozenset()
        self._trouble = ""
        self._stirred = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upriver-learner", daemon=True)

    # What others tell: lessons (lessons.lesson.Subscriber) and audits (auditing.listening.Listener).

    def added(self, lesson: Lesson) -> None:
        """A lesson counts from now on."""
        with self._lock:
            course = self._of(lesson)
            if course is not None:
                course.sums.add(lesson.seq, lesson.embedding, lesson.label, lesson.probabilities)
        self._stirred.set()

    def removed(self, lessons: Sequence[Lesson], why: Gone) -> None:
        """Lessons do not count any more."""
        with self._lock:
            for lesson in lessons:
                course = self._of(lesson)
                if course is not None:
                    course.sums.remove(lesson.seq, lesson.embedding, lesson.label, lesson.probabilities)
                if why in (Gone.FORGOTTEN, Gone.NOT_BELIEVED):
                    self._told.gone.setdefault(lesson.model, set()).add(lesson.seq)
        self._stirred.set()

    def quarantined(self, teacher: str) -> None:
        """A teacher is not believed any more; its lessons were told as removed."""

    def renewed(self) -> None:
        """What is kept is another than what was told: sums begin anew from it."""
        with self._lock:
            self._courses.clear()
        self._stirred.set()

    def wants(self, loaded: LoadedVersion) -> bool:
        """Whether questions of a pair are held out."""
        wanted = self._section.enabled and self._section.promote and not self._cannot(loaded)
        self._told.eligible[loaded.model] = wanted
        return wanted

    def share(self, model: str) -> float:
        """The share of a model's questions that is to be audited, at least."""
        wanted = self._told.eligible.get(model, False) and not self._told.full.get(model, False)
        return self._section.holdout if wanted else 0.0

    def judged(self, verdicts: Sequence[Verdict], top_version: str) -> None:
        """Keeps verdicts of the holdout, and tells who was contradicted."""
        for verdict in verdicts:
            case = verdict.case
            if case.teacher:
                self._parts.audited(case.teacher, case.teacher_policy, case.teacher_answer == verdict.top_answer)
        kept = [
            verdict
            for verdict in verdicts
            if verdict.case.draw < self._section.holdout
            and verdict.embedding is not None
            and is_digest(verdict.top_policy_digest)
        ]
        if kept and self._section.enabled:
            self._parts.journal.write(partial(holdout.add, verdicts=kept, top_version=top_version))
            self._stirred.set()

    # What an operator may do.

    def hold(self, model: str, held: bool) -> None:
        """Has a model keep what answers now until it is let go on; once this is over nothing is promoted any more.

        Raises DiskTrouble, and then nothing has changed.
        """
        with self._deciding:
            self._parts.journal.write(partial(holdout.hold, model=model, held=held)).result()
            self._held = self._held | {model} if held else self._held - {model}
        _LOG.warning("%s: learning is %s", model, "held" if held else "let go on")
        self._stirred.set()

    def revert(self, model: str, why: str = BY_OPERATOR) -> None:
        """Has the pair answer that was put there, and holds the model: else the same head would soon be back.

        Raises NotNow when nothing that was learnt here answers, and DiskTrouble.
        """
        with self._deciding:
            if self._parts.refiner.standing(model).refined is None:
                raise NotNow(f"model {model!r}: nothing that was learnt here answers")
            self.hold(model, True)
            self._parts.refiner.revert(model, why)

    def learning(self, model: str) -> Learning:
        """How learning stands for a model. Raises DiskTrouble."""
        current = self._parts.refiner.current(model)
        version = "" if current is None else current.given.version.digest
        standing = self._parts.refiner.standing(model)
        refined = standing.refined
        look = self._parts.journal.read
        key = look(partial(holdout.key_of, model=model, version=version))
        with self._lock:
            course = self._courses.get(model)
            lessons = 0 if course is None else len(course.sums)
            why = BUSY if course is None else course.why
        if current is not None:
            why = self._cannot(current.given) or self._trouble or why
        return Learning(
            model=model,
            version=version,
            lessons=lessons,
            held_out=0 if key is None else look(partial(holdout.count, key=key)),
            attempts=0 if key is None else self._parts.attempts.of(key).number,
            held=model in self._held,
            why=why,
            head="" if refined is None or current is None else current.answering.policy.document.head,
            ended="" if standing.ended is None else standing.ended.why,
            trials=tuple(look(partial(trials.listing, model=model))),
        )

    def statistics(self, model: str) -> tuple[str, HeadStatistics] | None:
        """The version that learns and the sums over its lessons without the prior, apart; None when none does."""
        with self._lock:
            course = self._courses.get(model)
            return None if course is None else (course.version, course.sums.statistics())

    # On the thread.

    def start(self) -> None:
        """Begins, in the background; once models are loaded and refined pairs are back."""
        self._thread.start()

    def close(self) -> None:
        """Ends; what was begun is ended first."""
        self._over.set()
        self._stirred.set()
        if self._thread.ident is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # not Linux, or niced more by whoever started us
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICER)
        while not self._over.is_set():
            self._stirred.clear()
            self.step()
            self._over.wait(_TICK_S)  # of many that stir at once, one look serves all
            self._stirred.wait(_IDLE_S)

    def step(self) -> None:
        """Looks at every model once."""
        self._trouble = ""
        for model in self._models():
            try:
                self._look(model)
            except DiskTrouble as error:
                self._trouble = str(error)
            except UpriverError as error:
                _LOG.warning("%s: learning: %s", model, error)
            except Exception:  # noqa: BLE001 - one model must not end learning for all
                _LOG.exception("%s: learning failed", model)

    def _look(self, model: str) -> None:
        current = self._parts.refiner.current(model)
        if current is None or self._cannot(current.given):
            with self._lock:
                self._courses.pop(model, None)
            return
        self._held = self._parts.journal.read(holdout.holds)
        course = self._course(model, current)
        self._after_alarms(model, current)
        if self._must_cleanse(model, current):
            self._cleanse(model, course, current)
            return
        promise = promise_of(current.given.policy.document, self._section)
        key = self._parts.journal.read(partial(holdout.key_of, model=model, version=course.version))
        if isinstance(promise, str) or key is None:
            course.why = promise if isinstance(promise, str) else "no question was held out yet"
            return
        progress = self._progress(model, course, key)
        self._told.full[model] = progress.held_out >= holdout.WANTED
        course.why = self._not_now(model, course, progress, promise)
        if not course.why:
            course.practised = (progress.lessons, progress.held_out)
            snapshot = self._snapshot(model, course)
            if self._told.gone.get(model) and current.standing.refined is not None:
                return  # told meanwhile: that is seen to first
            course.why = practice.prospect(snapshot.practised, progress, promise).why
            if not course.why:
                self._try(course, current, key, promise, snapshot)

    def _not_now(self, model: str, course: Course, progress: Progress, promise: Promise) -> str:
        if model in self._held:
            return "an operator holds it"
        if not self._section.promote:
            return "learning.promote is off"
        lessons, held_out = course.practised
        if progress.lessons < _MORE * lessons and progress.held_out < _MORE * held_out and course.why:
            return course.why
        return practice.worth_practising(progress, promise)

    def _course(self, model: str, current: Current) -> Course:
        version = current.given.version
        with self._lock:
            course = self._courses.get(model)
        if course is not None and course.version == version.digest:
            return course
        prior = self._parts.prior_of(current.given)
        width = embedding_width(version)
        assert prior is not None and width is not None  # noqa: S101, PT018 - narrows types; _cannot has looked
        sums = LessonSums(width, version.labels, float(self._section.memory_lessons))
        refined = current.standing.refined
        tried = None if refined is None else self._tried(model, current.answering.policy.document.head)
        with self._parts.book.still():
            for lesson in self._parts.book.all_of(model, version.digest):
                sums.add(lesson.seq, lesson.embedding, lesson.label, lesson.probabilities)
            course = Course(version.digest, prior, sums)
            with self._lock:
                self._courses[model] = course
                if refined is not None and (tried is None or sums.up_to(tried.until) < tried.lessons):
                    # Lessons left when nobody could be told, since the process ended just then, or all are lost.
                    self._told.gone.setdefault(model, set()).add(0)
        return course

    def _of(self, lesson: Lesson) -> Course | None:
        course = self._courses.get(lesson.model)
        return course if course is not None and course.version == lesson.version_digest else None

    def _cannot(self, loaded: LoadedVersion) -> str:
        """Why a pair can't learn; empty when it can."""
        problem = problem_of(loaded.version)
        if problem:
            return problem
        prior = self._parts.prior_of(loaded)
        if prior is None:
            return NO_PRIOR
        if prior.width != embedding_width(loaded.version):
            return f"its prior is on an embedding of {prior.width}; expected {embedding_width(loaded.version)}"
        promise = promise_of(loaded.policy.document, self._section)
        return (
            promise if isinstance(promise, str) and self._parts.refiner.standing(loaded.model).refined is None else ""
        )

    def _progress(self, model: str, course: Course, key: Key) -> Progress:
        held_out = self._parts.journal.read(partial(holdout.count, key=key))
        before = self._parts.attempts.of(key)
        last = next(
            (one for one in self._parts.journal.read(partial(trials.listing, model=model)) if one.promoted), None
        )
        with self._lock:
            lessons = len(course.sums)
        since = (lessons, held_out)
        if last is not None and last.version == course.version and last.trial.questions <= held_out:
            since = (max(0, lessons - last.lessons), held_out - last.trial.questions)
        rising = practice.rising_share(*since, self._section.holdout) if since[1] >= _TELLING else 1.0
        return Progress(lessons, held_out, before.lessons, before.held_out, before.number, rising)

    def _snapshot(self, model: str, course: Course) -> _Snapshot:
        with self._parts.book.still():
            with self._lock:
                sums, lessons, until = course.sums.statistics(), len(course.sums), course.sums.newest
                after = course.sums.after(practice.MOST_PRACTISED)
            choice = Choice(model=model, version_digest=course.version, states=frozenset({State.TAKEN}))
            found: list[Lesson] = []
            while page := self._parts.book.page(choice, after, _PAGE):
                found += [lesson for lesson in page if course.sums.has(lesson.seq)]
                after = page[-1].seq
            targets = [course.sums.target(lesson.label, lesson.probabilities) for lesson in found]
        embeddings = np.array([lesson.embedding for lesson in found], np.float16).reshape(len(found), course.sums.width)
        rows = np.array(targets).reshape(len(found), len(sums.labels))
        return _Snapshot(sums, lessons, until, practise(course.prior, sums, embeddings, rows))

    def _candidate(self, course: Course, current: Current, snapshot: _Snapshot) -> Candidate:
        own = current.given.version.labels
        before = current.answering.form.labels
        labels = learnt_labels(own, before, snapshot.sums)
        head = fitted(course.version, labels, course.prior, snapshot.sums, snapshot.practised.temperature)
        return candidate_of(head, snapshot.lessons, snapshot.until)

    def _try(
        self,
        course: Course,
        current: Current,
        key: Key,
        promise: Promise,
        snapshot: _Snapshot,
        against: LoadedVersion | None = None,
    ) -> bool:
        """Tries a head; gives whether it answers now. `against` is what it must escalate less than: what answers now,
        if nothing else is said."""
        model = current.given.model
        candidate = self._candidate(course, current, snapshot)
        with self._deciding:
            if model in self._held or not self._section.promote:
                return False
            held_out = self._parts.journal.read(partial(holdout.read, key=key, width=course.sums.width))
            number = self._parts.attempts.begin(key, snapshot.lessons, len(held_out.ids))
            are_logits = current.given.version.manifest.outputs.scores_are is ScoresAre.LOGITS
            scored = holdout_of(candidate, against or current.answering, are_logits, held_out)
            trial = judge(scored, promise, number)
            record = self._keep(course, model, candidate, trial)
            if not trial.passed:
                course.why = f"attempt {number} did not pass: {trial.why}"
                _LOG.info(
                    "%s: a head of %d lessons does not pass, attempt %d: %s", model, snapshot.lessons, number, trial.why
                )
                return False
            policy = policy_of(current.given.policy.document, candidate, trial, held_out)
            self._parts.refiner.promote(model, current.base, policy, candidate.data, snapshot.lessons, number)
            self._parts.journal.write(partial(trials.promoted, number=record)).result()
        course.why = ""
        return True

    def _keep(self, course: Course, model: str, candidate: Candidate, trial: Trial) -> int:
        tried = Tried(
            model, course.version, self._clock(), candidate.digest, candidate.lessons, candidate.until, False, trial
        )
        return self._parts.journal.write(partial(trials.add, tried=tried)).result()

    # What has to leave.

    def _must_cleanse(self, model: str, current: Current) -> bool:
        """Whether what answers has learnt what must be forgotten."""
        with self._lock:
            gone = set(self._told.gone.get(model, ()))
            if gone and current.standing.refined is None:
                del self._told.gone[model]
                return False
        if not gone:
            return False
        tried = self._tried(model, current.answering.policy.document.head)
        if tried is None or min(gone) <= tried.until:
            return True
        with self._lock:
            self._told.gone[model] -= gone
        return False

    def _cleanse(self, model: str, course: Course, current: Current) -> None:
        """Has another head answer that never learnt it, if one passes; else what was put there."""
        promise = promise_of(current.given.policy.document, self._section)
        key = self._parts.journal.read(partial(holdout.key_of, model=model, version=course.version))
        with self._parts.book.still():
            with self._lock:
                gone = set(self._told.gone.get(model, ()))
            snapshot = self._snapshot(model, course)
        replaced = False
        try:
            if isinstance(promise, Promise) and key is not None:
                replaced = self._try(course, current, key, promise, snapshot, against=current.given)
        finally:
            if not replaced:
                self._parts.refiner.revert(model, FORGOTTEN)
        with self._lock:
            self._told.gone[model] = self._told.gone.get(model, set()) - gone

    def _after_alarms(self, model: str, current: Current) -> None:
        """What was held out before an alarm does not count: what was true then is not any more."""
        since = 0.0
        ended = current.standing.ended
        if ended is not None and ended.why == ALARM:
            since = ended.at
        watch = current.given.watch
        if watch is not None and watch.alarmed:
            since = max(since, watch.facts().report.alarm_since)
        if since:
            self._parts.journal.write(partial(holdout.restart, model=model, since=since)).result()

    def _tried(self, model: str, head: str) -> Tried | None:
        return self._parts.journal.read(partial(trials.of_head, model=model, head=head)) if head else None
