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


class Leaving:
    """For one agent, by model. Safe to share between threads."""

    def __init__(self, journal: Journal, book: LessonBook, refiner: Refiner) -> None:
        self._journal = journal
        self._book = book
        self._refiner = refiner
        self._lock = threading.Lock()
        self._gone: dict[str, set[int]] = {}
        self._begun: set[str] = set()

    def told(self, model: str, number: int) -> None:
        """A lesson has to leave; number 0 is any that a head may have learnt."""
        with self._lock:
            self._gone.setdefault(model, set()).add(number)

    def begin(self, current: Current, tried: Tried | None, left: int) -> None:
        """Takes in what nobody was told, once for each version: when the process last ended, and what has become of
        the lessons of the head that answers meanwhile. `tried` is its trial, `left` how many of them count still.

        Later on lessons that only do not count any more leave with what is learnt next. Raises DiskTrouble.
        """
        version, begun = current.given.version.digest, self._begun
        if version in begun:
            return
        self.recall(current.given.model)
        if current.standing.refined is not None and (tried is None or left < tried.lessons):
            self.told(current.given.model, 0)
        begun.add(version)

    def renewed(self) -> None:
        """The journal is another: what was known of it is to be looked at anew."""
        self._begun = set()

    def recall(self, model: str) -> None:
        """Takes in what had to leave when the process last ended. Raises DiskTrouble."""
        lowest = self._journal.read(partial(looking.leaving, model=model))
        if lowest is not None:
            self.told(model, lowest)

    def of(self, model: str) -> frozenset[int]:
        """The numbers of what has to leave, as far as it is not known that nothing answers that has learnt it."""
        with self._lock:
            return frozenset(self._gone.get(model, ()))

    def due(self, current: Current, tried: Callable[[], Tried | None]) -> bool:
        """Whether what answers has learnt some of it; `tried` gives its head's trial. Raises DiskTrouble."""
        model = current.given.model
        gone = self.of(model)
        if not gone:
            return False
        if current.standing.refined is not None:
            trial = tried()
            if trial is None or min(gone) <= trial.until:
                return True
        self._settle(model, gone)
        return False

    def cleanse(self, current: Current, replaced: Callable[[], bool]) -> None:
        """Has another head answer that never learnt it, if `replaced` brings one; else what was put there."""
        model, done = current.given.model, False
        gone = self.of(model)
        try:
            done = replaced()
        finally:
            if not done:
                self._refiner.revert(model, FORGOTTEN)
            self._settle(model, gone)

    def _settle(self, model: str, gone: frozenset[int]) -> None:
        with self._book.still():  # else what is forgotten just now might be crossed out with it
            with self._lock:
                rest = self._gone.pop(model, set()) - gone
                if rest:
                    self._gone[model] = rest
            if not rest:
                self._journal.write(partial(forgetting.left, model=model)).result()
