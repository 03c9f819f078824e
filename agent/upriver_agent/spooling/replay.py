"""What is sent next: new spans or such as were kept while nobody took them. Pure."""

from enum import Enum
from typing import Final

NEW_PER_OLD: Final = 4
"""New batches for each old one, while there are both: what happens now is looked at now."""


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
