"""The batches that wait on the disk: a journal of their own, whose troubles cost spans and nothing else."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Final, TypeVar

from upriver.errors import UpriverError
from upriver_agent.journal import Journal
from upriver_agent.spooling import table
from upriver_agent.spooling.encoding import Batch
from upriver_agent.spooling.lanes import Worth
from upriver_agent.spooling.table import Kept

T = TypeVar("T")

FILE: Final = "spans.db"
_DISK_S: Final = 5.0


class Spool:
    """Keeps at most `most_bytes`. The journal tells of a disk that fails; here that is None, or False."""

    def __init__(self, state_dir: Path, most_bytes: int) -> None:
        self.journal = Journal(state_dir / FILE, table.SCHEMA, durable=False)
        self.spans = 0
        """Spans that are kept, as far as is known."""
        self._most_bytes = most_bytes

    def start(self) -> None:
        """Opens the file, and looks at what an earlier run has left."""
        self.journal.start()
        self._recount()

    def keep(self, batch: Batch) -> dict[Worth, int] | None:
        """Keeps a batch; gives how many spans were dropped for want of room, None when the disk takes nothing."""
        lost = self._write(partial(table.put, batch=batch, most_bytes=self._most_bytes))
        self._recount()
        return lost

    def one(self, newest: bool = False) -> Kept | None:
        """What was kept first, or last; None when nothing is kept or the disk can't be read."""
        kept = self._look(table.newest if newest else table.oldest)
        if kept is None:
            self._recount()
        return kept

    def drop(self, kept: Kept) -> bool:
        """Lets go of a batch; False when the disk did not."""
        gone = self._write(partial(table.drop, number=kept.number)) is not None
        self._recount()
        return gone

    def close(self, timeout_s: float) -> None:
        """Writes what waits and closes the file."""
        self.journal.close(timeout_s)

    def _recount(self) -> None:
        found = self._look(table.tally)
        self.spans = 0 if found is None else found["spans"]

    def _look(self, look: Callable[[Connection], T]) -> T | None:
        try:
            return self.journal.read(look)
        except UpriverError:
            return None

    def _write(self, change: Callable[[Connection], T]) -> T | None:
        try:
            return self.journal.write(change).result(_DISK_S)
        except (UpriverError, TimeoutError):
            return None
