"""What is sent next: new spans or such as were kept while nobody took them, and which hold others up. Pure."""

from enum import Enum
from typing import Final

NEW_PER_OLD: Final = 4
"""New batches for each old one, while there are both: what happens now is looked at now."""

MOST_PASSED: Final = 8
"""So often others are taken between the tries of a batch that is put off, before it is lost."""
_MOST_KNOWN: Final = 16
"""Batches that are remembered."""


class Source(Enum):
    """Where the next batch is taken from."""

    NEW = 0
    KEPT = 1


class Turns:
    """Whose turn it is."""

    def __init__(self) -> None:
        self._new = 0

    def next(self, new: bool, kept: bool) -> Source | None:
        """Whose turn it is, given of which there is any; None when of neither."""
        if not new and not kept:
            return None
        if new and (not kept or self._new < NEW_PER_OLD):
            self._new += 1
            return Source.NEW
        self._new = 0
        return Source.KEPT


class Passed:
    """Tells a batch that nobody ever takes from a receiver that is away: others are taken between its tries."""

    def __init__(self) -> None:
        self._tried: set[int] = set()
        """What was put off since the last that was taken."""
        self._times: dict[int, int] = {}

    def put_off(self, batch: int) -> int:
        """A batch was not taken; gives how often others were, each time since it had been tried."""
        if len(self._tried) < _MOST_KNOWN:
            self._tried.add(batch)
        return self._times.get(batch, 0)

    def taken(self, batch: int) -> None:
        """The receiver is there: it took a batch, or refused it."""
        self.forget(batch)
        for other in self._tried:
            self._times[other] = self._times.pop(other, 0) + 1
        self._tried.clear()
        for oldest in list(self._times)[:-_MOST_KNOWN]:
            del self._times[oldest]

    def forget(self, batch: int) -> None:
        """A batch is not tried any more."""
        self._tried.discard(batch)
        self._times.pop(batch, None)
