"""What has to leave what answers: lessons that were forgotten, and those of a teacher who is not believed any more.

Of each version the lowest number is in the journal too, from the transaction on that takes the lesson out
(`lessons.forgetting`) until nothing answers that has learnt it: a process that ends between the two hides nothing.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from upriver_agent.journal import Journal
from upriver_agent.learning.trials import Tried
from upriver_agent.lessons import forgetting, looking
from upriver_agent.lessons.book import LessonBook
from upriver_agent.serving.refiner import Current, Refiner

FORGOTTEN: Final = "its head had learnt what must be forgotten, and no other has passed"


Version = tuple[str, str]
"""A model, and its version's digest. What is learnt of a version never answers for another one."""


def _version(current: Current) -> Version:
    return current.given.model, current.given.version.digest


class Leaving:
    """For one agent. Safe to share between threads."""

    def __init__(self, journal: Journal, book: LessonBook, refiner: Refiner) -> None:
        self._journal = journal
        self._book = book
        self._refiner = refiner
        self._lock = threading.Lock()
        self._gone: dict[Version, set[int]] = {}
        """Empty is what has left, and is still to be crossed out in the journal."""
        self._begun: set[Version] = set()

    def told(self, version: Version, number: int) -> None:
        """A lesson has to leave; number 0 is any that a head may have learnt."""
        with self._lock:
            self._gone.setdefault(version, set()).add(number)

    def begin(self, current: Current, tried: Tried | None, left: int) -> None:
        """Takes in what nobody was told, once for each version: when the process last ended, and what has become of
        the lessons of the head that answers meanwhile. `tried` is its trial, `left` how many of them count still.

        Later on lessons that only do not count any more leave with what is learnt next. Raises DiskTrouble.
        """
        version, begun = _version(current), self._begun
        if version in begun:
            return
        self.recall(current)
        if current.standing.refined is not None and (tried is None or left < tried.lessons):
            self.told(version, 0)
        begun.add(version)

    def renewed(self) -> None:
        """The journal is another: what was known of it is to be looked at anew."""
        self._begun = set()

    def recall(self, current: Current) -> None:
        """Takes in what had to leave when the process last ended. Raises DiskTrouble."""
        version = _version(current)
        lowest = self._journal.read(partial(looking.leaving, model=version[0], version_digest=version[1]))
        if lowest is not None:
            self.told(version, lowest)

    def of(self, current: Current) -> frozenset[int]:
        """The numbers of what has to leave, as far as it is not known that nothing answers that has learnt it."""
        with self._lock:
            return frozenset(self._gone.get(_version(current), ()))

    def due(self, current: Current, tried: Callable[[], Tried | None]) -> bool:
        """Whether what answers has learnt some of it; `tried` gives its head's trial. Raises DiskTrouble."""
        gone = self.of(current)
        if gone and current.standing.refined is not None:
            trial = tried()
            if trial is None or min(gone) <= trial.until:
                return True
        if _version(current) in self._gone:
            self._settle(_version(current), gone)
        return False

    def cleanse(self, current: Current, replaced: Callable[[], bool]) -> None:
        """Has another head answer that never learnt it, if `replaced` brings one; else what was put there."""
        gone, done = self.of(current), False
        try:
            done = replaced()
        finally:
            if not done:
                self._refiner.revert(current.given.model, FORGOTTEN)
            self._settle(_version(current), gone)

    def _settle(self, version: Version, gone: frozenset[int]) -> None:
        with self._book.still():  # else what is forgotten just now might be crossed out with it
            with self._lock:
                rest = self._gone.setdefault(version, set())
                rest -= gone
            if not rest:
                self._journal.write(partial(forgetting.left, model=version[0], version_digest=version[1])).result()
                del self._gone[version]  # not before: what the disk refuses is tried again
