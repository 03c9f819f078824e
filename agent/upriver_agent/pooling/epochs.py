"""Epochs that rise over restarts: a file that is written before any of the epochs that it stands for is used."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble
from upriver.whole import write_whole

FILE: Final = "pool-epoch"
_BLOCK: Final = 64
"""So many epochs are taken at once: the disk is written to once for each of these."""


class Epochs:
    """The epochs of one agent. Without its file it goes on from the clock, which is ahead of all that it ever gave."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix times."""
        self._path = folder / FILE
        self._clock = clock
        self._next = 0
        self._reserved = 0

    @property
    def used(self) -> bool:
        """Whether any was ever given, in this run or before, as far as is known."""
        return bool(self._next) or self._path.exists()

    def __call__(self, above: int) -> int:
        """An epoch above every one before, and above `above`; raises DiskTrouble."""
        if not self._next:
            self._next = self._kept()
        epoch = max(self._next, above + 1)
        if epoch >= self._reserved:
            self._reserve(epoch + _BLOCK)
        self._next = epoch + 1
        return epoch

    def _kept(self) -> int:
        with contextlib.suppress(OSError, ValueError):  # unreadable is as good as gone
            kept = int(self._path.read_text("ascii"))
            if kept > 0:
                return kept
        return max(1, int(self._clock() * 1000))

    def _reserve(self, reserved: int) -> None:
        try:
            write_whole(self._path, str(reserved).encode("ascii"))
        except OSError as error:
            raise DiskTrouble(f"{self._path}: {error.strerror or error}; expected a folder to write to") from error
        self._reserved = reserved
