"""The sums over one version's lessons, kept in step with the journal: each lesson in it counts once. Pure.

A lesson's target is a function of the lesson alone, so the sums do not depend on the order in which lessons come and
go, and what is taken out again was never there, but for rounding.

With `memory`, a lesson counts exp(-age / memory), its age being how many numbers were given to lessons since, of
whichever model.
"""

import math
from collections.abc import Mapping
from copy import copy
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.head_statistics import HeadStatistics, nothing, shares_of, target_of
from upriver.heads import MAX_LABELS
from upriver.scores import Floats

_MOST_FADED: Final = 5.0
"""By e to this the rounding of sums may grow when those that they are of count for more again."""


class LessonSums:
    """The sums over lessons on an embedding of `width`; changed in place, by one thread at a time."""

    def __init__(self, width: int, labels: tuple[str, ...], memory: float = 0.0) -> None:
        """`labels` are the version's own and come first; further ones as lessons bring them. `memory` 0 forgets
        nothing."""
        self._own = frozenset(labels)
        self._memory = memory
        self._sums = nothing(width, labels)
        self._counted: set[int] = set()
        self._newest = self._highest = 0
        self.stale = False
        """Whether so many of the latest have left that what was left had faded into the rounding of the sums: they are
        to be made anew."""

    @property
    def width(self) -> int:
        """How many numbers an embedding has."""
        return self._sums.width

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the sums."""
        return self._sums.labels

    def __len__(self) -> int:
        return len(self._counted)

    @property
    def newest(self) -> int:
        """The highest number of a lesson that counts; 0 without any."""
        return self._newest

    def has(self, number: int) -> bool:
        """Whether a lesson counts."""
        return number in self._counted

    def after(self, most: int) -> int:
        """The number behind which at most `most` lessons come."""
        return 0 if len(self._counted) <= most else sorted(self._counted)[-most - 1]

    def up_to(self, number: int) -> int:
        """How many lessons count that have at most this number."""
        return sum(one <= number for one in self._counted)

    def add(self, number: int, embedding: NDArray[Any], label: str, probabilities: Mapping[str, float]) -> bool:
        """Counts a lesson by its number; False when it can't be: it does already, is of another width, is not finite,
        or there are too many labels."""
        if number in self._counted or len(embedding) != self.width or not np.isfinite(embedding).all():
            return False
        if label not in self.labels:
            if len(self.labels) >= MAX_LABELS:
                return False
            self._sums = self._sums.widened([label])
        if number > self._newest:
            self._age(number - self._newest)
            self._newest, self._highest = number, max(number, self._highest)
        self._sums.add(embedding, self.target(label, probabilities), self.weight(number))
        self._counted.add(number)
        return True

    def remove(self, number: int, embedding: NDArray[Any], label: str, probabilities: Mapping[str, float]) -> bool:
        """Takes a lesson out again; False when it did not count."""
        if number not in self._counted:
            return False
        self._sums.add(embedding, self.target(label, probabilities), -self.weight(number))
        self._counted.remove(number)
        if number == self._newest:
            self._newest = max(self._counted, default=0)
            if not self._counted:
                self._sums, self._highest, self.stale = nothing(self.width, self.labels), 0, False
            self.stale |= self._highest - self._newest > _MOST_FADED * self._memory > 0.0
            if not self.stale:
                self._age(self._newest - number)
        return True

    def target(self, label: str, probabilities: Mapping[str, float]) -> Floats:
        """A lesson's target, [labels]."""
        return target_of(self.labels, shares_of(label, probabilities, self._own))

    def weight(self, number: int) -> float:
        """How much a lesson counts by its age, at most 1."""
        return math.exp((number - self._newest) / self._memory) if self._memory else 1.0

    def apart(self) -> "LessonSums":
        """The same, for others to look at while these change."""
        made = copy(self)
        made._sums, made._counted = self._sums.copy(), set(self._counted)
        return made

    def statistics(self) -> HeadStatistics:
        """The sums, apart."""
        return self._sums.copy()

    def _age(self, by: int) -> None:
        if self._memory and self._counted and by:
            self._sums.fade(math.exp(-by / self._memory))


def narrowed(sums: HeadStatistics, labels: tuple[str, ...]) -> HeadStatistics:
    """The sums with these columns alone, in this order; one that is missing has nothing."""
    columns = np.zeros((len(sums.outer), len(labels)))
    at = {label: column for column, label in enumerate(sums.labels)}
    for column, label in enumerate(labels):
        if label in at:
            columns[:, column] = sums.toward[:, at[label]]
    return HeadStatistics(labels, sums.outer.copy(), columns)
