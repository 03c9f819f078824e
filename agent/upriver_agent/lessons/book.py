"""The book of lessons: what is kept of them, who is told of changes, and which teachers are believed.

Every change is one transaction, told to subscribers once it is on the disk, with one lock around both. So whoever adds
and subtracts what it is told, or begins from `all_of` with `still`, has the sum over the lessons in the journal.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from upriver.errors import DiskTrouble, NotNow
from upriver_agent.journal import Journal
from upriver_agent.lessons import forgetting, looking, standings, store
from upriver_agent.lessons.lesson import Choice, Lesson, State, Subscriber
from upriver_agent.lessons.outcome import Bounds, Change, Outcome
from upriver_agent.lessons.standing import Standing

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_PAGE: Final = 500
_BUSY_S: Final = 10.0
_CLOCK_JUMP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class BookOptions:
    """`max_bytes` and `max_age_s` bound what is kept, `quorum` teachers settle a contradiction, and a teacher that is
    contradicted more often than `teacher_error` is not believed any more."""

    max_bytes: int
    max_age_s: float
    quorum: int
    teacher_error: float


class LessonBook:
    """The lessons of one agent. Safe to share between threads; raises DiskTrouble when the journal can't be used.

    `journal` has the tables of `lessons.table`, and is opened and closed by whoever made it.
    """

    def __init__(
        self,
        journal: Journal,
        options: BookOptions,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is a Unix time, `steady` a clock that is never set."""
        self.journal = journal
        self.options = options
        self.clock = clock
        self.forgetting: list[Callable[[sqlite3.Connection, Sequence[tuple[int, str]]], None]] = []
        """Called in the transaction that forgets lessons, with their numbers and ids: what must be forgotten too. The
        number is 0 for ids that are not in the journal, any more or at all."""
        self._steady = steady
        self._changing = threading.RLock()
        self._subscribers: list[Subscriber] = []
        self._live: dict[str, str] = {}
        self._standings: dict[str, Standing] = {}
        self._loaded = False
        self._unfinished: set[str] = set()
        """Teachers in quarantine of whom a kill or the disk may have left lessons that count."""
        self._set_aside = 0
        self._wall = clock() - steady()
        self._since = clock()

    # Who learns.

    def subscribe(self, subscriber: Subscriber) -> None:
        """Has somebody told of all changes from now on; what is there already it takes from `all_of`."""
        with self._held():
            self._subscribers.append(subscriber)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing changes, and nobody is told of anything, meanwhile."""
        with self._held():
            yield

    def all_of(self, model: str, version_digest: str) -> Iterator[Lesson]:
        """The lessons of a version that count, in the order in which they were kept; without inputs."""
        choice = Choice(model=model, version_digest=version_digest, states=frozenset({State.TAKEN}))
        return self.every(choice)

    def every(self, choice: Choice, with_input: bool = False) -> Iterator[Lesson]:
        """The lessons of a choice, in the order in which they were kept, read page by page."""
        after = 0
        while True:
            found = self.page(choice, after, _PAGE if not with_input else _PAGE // 10, with_input)
            yield from found
            if not found:
                return
            after = found[-1].seq

    def page(self, choice: Choice, after: int, limit: int, with_input: bool = False) -> list[Lesson]:
        """At most `limit` lessons of a choice from behind a number on."""
        return self.journal.read(
            lambda connection: looking.listing(connection, choice, after, limit, with_input=with_input)
        )

    # What is kept.

    def attend(self, model: str, version_digest: str) -> None:
        """A version answers here from now on: lessons of others of its model are kept for their time, and not used."""
        self._live = {**self._live, model: version_digest}

    def offer(self, lessons: Sequence[Lesson]) -> list[Outcome | None]:
        """Keeps lessons as the rules have it, in one transaction; None is one whose teacher is not believed."""
        with self._held():
            self._load()
            believed = [self._standing(lesson.teacher).believes(lesson.policy) for lesson in lessons]
            bounds = Bounds(self.options.max_bytes, self.options.quorum, frozenset(self._live.items()))
            taken = [lesson for lesson, yes in zip(lessons, believed, strict=True) if yes]

            def take(connection: sqlite3.Connection) -> list[tuple[Outcome, Change]]:
                return [store.take(connection, lesson, bounds) for lesson in taken]

            found = iter(self._written(take) if taken else [])
            outcomes: list[Outcome | None] = []
            for yes in believed:
                outcome, change = next(found) if yes else (None, Change())
                outcomes.append(outcome)
                self._tell(change)
            return outcomes

    def forget(self, choice: Choice) -> int:
        """Forgets all lessons of a choice; gives how many. What is learnt is then as if they had never been."""
        here: set[str] = set()

        def forget(connection: sqlite3.Connection) -> tuple[int, Change]:
            found, change = forgetting.forget(connection, choice, self.options.quorum)
            here.update(id_ for _, id_ in found)
            gone: list[tuple[int, str]] = []
            if not found and choice == Choice(ids=choice.ids):  # of what has gone only its id says that it is meant
                gone = [(0, one) for one in choice.ids if one.rpartition(".")[2].isdecimal() and one not in here]
            for too in self.forgetting:
                too(connection, found or gone)
            return len(found), change

        return self._all(forget)[0]

    def count(self, choice: Choice) -> tuple[int, int]:
        """How many lessons a choice has, and how many bytes they take."""
        return self.journal.read(lambda connection: looking.count(connection, choice))

    def tick(self) -> None:
        """What has to be done now and then: what is too old goes, a clock that was set is corrected for."""
        with self._held():
            self._load()
            self._follow_clock()
            before = self.clock() - self.options.max_age_s
            self._all(partial(store.expire, before=before))
            for teacher in list(self._unfinished):
                if self._standing(teacher).quarantined:
                    self._set_teacher_aside(teacher)
                self._unfinished.discard(teacher)

    # Who is believed.

    def contradicted(self, teacher: str, policy: str, agreed: bool) -> None:
        """An audit has held an answer that a teacher gave, by this pair of it, against the top's."""
        with self._held():
            self._load()
            now = self.clock()
            before = self._standing(teacher)
            after = before.audited(policy, agreed, self.options.teacher_error, now)
            self._keep(teacher, after, now)
            if after.quarantined and not before.quarantined:
                _LOG.error(
                    "%s is contradicted by the top too often, %d times of %d: nothing of it is believed any more",
                    teacher, after.evidence.disagreements, after.evidence.audits,
                )  # fmt: skip
                self._unfinished.add(teacher)
                self._set_teacher_aside(teacher)
                self._unfinished.discard(teacher)
            elif before.quarantined and not after.quarantined:
                _LOG.warning("%s has proved itself with another pair: it is believed again", teacher)

    def release(self, teacher: str) -> int:
        """An operator believes a teacher again; gives how many of its lessons count again. Raises NotNow when it is
        not in quarantine."""
        with self._held():
            self._load()
            standing = self._standing(teacher)
            aside = Choice(teacher=teacher, states=frozenset({State.ASIDE}))
            if not standing.quarantined and not standing.bad and not self.count(aside)[0]:
                raise NotNow(f"{teacher[:80]!r} is not in quarantine")
            self._keep(teacher, standing.released(), self.clock())

        def bring_back(connection: sqlite3.Connection) -> tuple[int, Change]:
            if self._standing(teacher).quarantined:  # again, since the last batch
                return 0, Change()
            return forgetting.bring_back(connection, teacher, self.options.quorum)

        return self._all(bring_back)[1]

    def standings(self) -> Mapping[str, Standing]:
        """What is known of teachers."""
        with self._held():
            self._load()
            return dict(self._standings)

    def _standing(self, teacher: str) -> Standing:
        return self._standings.get(teacher, Standing())

    def _keep(self, teacher: str, standing: Standing, now: float) -> None:
        self._written(partial(standings.save, teacher=teacher, standing=standing, now=now))
        self._standings[teacher] = standing
        if len(self._standings) > 2 * standings.MAX_STANDINGS:
            self._standings = self._written(standings.load)

    def _set_teacher_aside(self, teacher: str) -> None:
        self._all(partial(forgetting.set_aside, teacher=teacher, quorum=self.options.quorum))

    # The shell.

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not self._changing.acquire(timeout=_BUSY_S):
            raise DiskTrouble(f"{self.journal.path} is being written for more than {_BUSY_S:g} s: its disk is too slow")
        try:
            yield
        finally:
            self._changing.release()

    def _written(self, change: Callable[[sqlite3.Connection], T]) -> T:
        return self.journal.write(change).result()  # however slow the disk is: only what is kept may be told

    def _all(self, step: Callable[[sqlite3.Connection], tuple[int, Change]]) -> tuple[int, int]:
        """Takes a step until it is about no lesson; gives how many it was about, and how many came to count."""
        rows, added, more = 0, 0, 1
        while more:
            with self._held():
                more, change = self._written(step)
                self._tell(change)
            rows += more
            added += len(change.added)
        return rows, added

    def _tell(self, change: Change) -> None:
        for subscriber in self._subscribers:
            if change.removed:
                subscriber.removed(change.removed)
            if change.must_go:
                subscriber.must_go(change.must_go)
            for lesson in change.added:
                subscriber.added(lesson)

    def _load(self) -> None:
        """Takes in who is believed, at first and after a damaged file was set aside."""
        if self._loaded and self._set_aside == self.journal.set_aside:
            return
        found = self._written(standings.load)  # a write, so that a disk that has room again is found out
        renewed = self._loaded
        # Who was in quarantine stays there, whatever became of the file.
        lost = {name: one for name, one in self._standings.items() if one.quarantined and name not in found}
        for name, standing in lost.items():
            self._written(partial(standings.save, teacher=name, standing=standing, now=standing.since))
        self._standings = {**lost, **found}
        self._unfinished.update(name for name, one in self._standings.items() if one.quarantined)
        self._loaded, self._set_aside = True, self.journal.set_aside
        if renewed:
            for subscriber in self._subscribers:
                subscriber.renewed()

    def _follow_clock(self) -> None:
        now = self._steady()
        jump_s = self.clock() - now - self._wall
        if abs(jump_s) <= _CLOCK_JUMP_S:
            return
        since, until = self._since - 1.0, self._wall + now + 1.0
        self._written(partial(store.shift, since=since, until=until, by_s=jump_s))
        self._wall += jump_s
        self._since += jump_s
        _LOG.info("the clock was set by %.0f s: lessons of this run keep their age", jump_s)
