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
from functools import partial
from typing import Final

from upriver.errors import DiskTrouble, NotNow, UpriverError
from upriver.promises import Promise
from upriver_agent.giving_way import giving_way
from upriver_agent.head import embedding_width, problem_of
from upriver_agent.learning import holdout, practice, trials
from upriver_agent.learning.candidate import promise_of
from upriver_agent.learning.course import Course
from upriver_agent.learning.examiner import Examiner, Parts, Snapshot
from upriver_agent.learning.given import GivenHeads, newest
from upriver_agent.learning.holdout import Key
from upriver_agent.learning.keeping import HoldoutKeeper
from upriver_agent.learning.leaving import FORGOTTEN, Leaving
from upriver_agent.learning.practice import Progress
from upriver_agent.learning.report import Learning, learning_of
from upriver_agent.learning.sums import LessonSums
from upriver_agent.learning.trials import Tried
from upriver_agent.lessons.lesson import Lesson
from upriver_agent.sections import LearningSection
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.serving.refiner import Current
from upriver_agent.telemetry import Origin

_LOG = logging.getLogger(__name__)
NICER: Final = 10
NO_PRIOR: Final = "its version has no prior.npz: a head would know nothing of what the version was trained on"
NOTHING_HELD_OUT: Final = "no question was held out yet"
NO_AUDITS: Final = "audits.enabled is off: nothing is held out, so no head can be tried"
BUSY: Final = "the lessons are being counted"
BY_OPERATOR: Final = "an operator wants it so"
_TICK_S: Final = 1.0
_IDLE_S: Final = 30.0
_TURN: Final = 16
_MORE: Final = 1.1
"""Lessons are practised again when they or the holdout have grown by this factor."""


class Learner:
    """Learns for one agent. Subscribes to lessons; its `keeper` listens to audits. `start` and `close` it."""

    def __init__(
        self,
        parts: Parts,
        section: LearningSection,
        models: Callable[[], Sequence[str]],
        clock: Callable[[], float] = time.time,
        audits: bool = True,
    ) -> None:
        """`models` gives the names of those that answer, `clock` Unix times; `audits` is whether there are any."""
        self._blind = "" if audits else NO_AUDITS
        self._parts = parts
        self._section = section
        self._models = models
        self._lock = threading.Lock()
        self._deciding = threading.RLock()
        self._courses: dict[str, Course] = {}
        self._examiner = Examiner(parts, section.holdout, self._lock, clock)
        self._leaving = Leaving(parts.journal, parts.book, parts.refiner)
        self._given = GivenHeads(parts.journal)
        self._held: frozenset[str] = frozenset()
        self._trouble = ""
        self._stirred = threading.Event()
        self.keeper = HoldoutKeeper(parts.journal, section, self._cannot, parts.audited, self._stirred.set, self._put)
        self.promoted: Callable[[str, str, int, Sequence[Origin]], None] = lambda _model, _version, _lessons, _of: None
        """Called when a head begins to answer, with model, version, how many lessons of this agent it is of, and where
        the newest of their questions were; set by whoever tells of it."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upriver-learner", daemon=True)

    # What lessons tell (lessons.lesson.Subscriber).

    def added(self, lesson: Lesson) -> None:
        """A lesson counts from now on."""
        with self._lock:
            course = self._of(lesson)
            if course is not None:
                course.change(True, lesson)
        self._stirred.set()

    def removed(self, lessons: Sequence[Lesson]) -> None:
        """Lessons do not count any more."""
        with self._lock:
            for lesson in lessons:
                course = self._of(lesson)
                if course is not None:
                    course.change(False, lesson)
        self._stirred.set()

    def must_go(self, lessons: Sequence[Lesson]) -> None:
        """Lessons must leave what answers."""
        for lesson in lessons:
            self._leaving.told((lesson.model, lesson.version_digest), lesson.seq)
        self._stirred.set()

    def renewed(self) -> None:
        """What is kept is another than what was told: sums begin anew from it."""
        with self._lock:
            self._courses.clear()
        self._leaving.renewed()
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
        with self._lock:
            course = self._courses.get(model)
            lessons = 0 if course is None else len(course.sums)
            why = BUSY if course is None else course.why
        if current is not None:
            why = self._cannot(current.given) or self._trouble or why
        return learning_of(self._parts, model, lessons, model in self._held, why)

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
            if current is not None and current.standing.refined is not None:
                self._leaving.recall(current)
                if self._leaving.of(current):
                    self._parts.refiner.revert(model, FORGOTTEN)
            return
        with self._deciding:  # else what an operator holds just now would be read as it was before
            self._held = self._parts.journal.read(holdout.holds)
        course = self._course(model, current)
        origins = self._given.begun(current)
        if origins is not None:  # it may have learnt from nothing that has a span
            self.promoted(model, course.version, len(course.sums), origins)
        self.keeper.after_alarms(current)
        if self._leaving.due(current, partial(self._tried, current)):
            if course.ready:
                self._leaving.cleanse(current, partial(self._replaced, course, current))
            return
        promise = promise_of(current.given.policy.document, self._section)
        key = self._parts.journal.read(partial(holdout.key_of, model=model, version=course.version))
        if isinstance(promise, str) or key is None:
            self.keeper.counted(model, 0)
            course.why = promise if isinstance(promise, str) else self._blind or NOTHING_HELD_OUT
            return
        progress = self._examiner.progress(model, course, key)
        self.keeper.counted(model, progress.held_out)
        course.why = self._not_now(model, course, progress, promise)
        if not course.why:
            course.practised, course.found = (progress.lessons, progress.held_out), ""
            snapshot = self._examiner.snapshot(model, course)
            if not course.ready or self._leaving.of(current):
                return  # told meanwhile: that is seen to first
            course.why = course.found = practice.prospect(snapshot.practised, progress, promise).why
            if not course.why:
                self._try(course, current, key, promise, snapshot, current.answering)

    def _not_now(self, model: str, course: Course, progress: Progress, promise: Promise) -> str:
        if model in self._held:
            return "an operator holds it"
        if not self._section.promote:
            return "learning.promote is off"
        lessons, held_out = course.practised
        if progress.lessons < _MORE * lessons and progress.held_out < _MORE * held_out and course.found:
            return course.found
        return practice.worth_practising(progress, promise)

    def _course(self, model: str, current: Current) -> Course:
        version = current.given.version
        with self._lock:
            course = self._courses.get(model)
        if course is not None and course.version == version.digest and course.ready:
            return course
        prior = self._parts.prior_of(current.given)
        width = embedding_width(version)
        assert prior is not None and width is not None  # noqa: S101, PT018 - narrows types; _cannot has looked
        course = Course(version.digest, prior, LessonSums(width, version.labels, float(self._section.memory_lessons)))
        with self._lock:
            self._courses[model] = course
        course.read(giving_way(self._parts.book.all_of(model, version.digest), _TURN))
        tried = self._tried(current)
        with self._lock:
            course.catch_up()
            left = course.sums.up_to(tried.until) if tried is not None else 0
        self._leaving.begin(current, tried, left)
        if tried is not None and not tried.promoted:  # the process ended just after
            self._parts.journal.write(partial(trials.promoted, model=model, head=tried.head)).result()
        return course if course.ready else self._course(model, current)

    def _put(self, loaded: LoadedVersion) -> None:
        """Another pair is about to answer."""
        self._given.put(loaded)
        self._stirred.set()

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

    def _try(
        self,
        course: Course,
        current: Current,
        key: Key,
        promise: Promise,
        snapshot: Snapshot,
        against: LoadedVersion,
    ) -> bool:
        """Tries a head unless an operator holds the model; gives whether it answers now."""
        model = current.given.model
        with self._deciding:
            if model in self._held or not self._section.promote:
                return False
            trial = self._examiner.attempt(course, current, key, promise, snapshot, against)
        course.why = course.found = "" if trial.passed else f"attempt {trial.attempt} did not pass: {trial.why}"
        if not trial.passed:
            _LOG.info("%s: a head of %d lessons did not pass: %s", model, snapshot.lessons, course.why)
            return False
        self.promoted(model, course.version, snapshot.lessons, newest(self._parts.journal, model, course.version))
        return True

    def _replaced(self, course: Course, current: Current) -> bool:
        """Whether a head of the lessons that are left answers now; it need only beat what was put there."""
        promise = promise_of(current.given.policy.document, self._section)
        key = self._parts.journal.read(partial(holdout.key_of, model=current.given.model, version=course.version))
        if not isinstance(promise, Promise) or key is None:
            return False
        snapshot = self._examiner.snapshot(current.given.model, course)
        return course.ready and self._try(course, current, key, promise, snapshot, current.given)

    def _tried(self, current: Current) -> Tried | None:
        """The trial of the head that answers; None when none does that was learnt here, or none is kept."""
        refined = current.standing.refined
        head = current.answering.policy.document.head
        return None if refined is None else self._examiner.tried(current.given.model, head)
