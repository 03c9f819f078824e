"""What an agent must not forget: a small SQLite file in its state folder, with one thread that writes.

What was committed survives kill -9 at any point. Writes that wait at the same time share one transaction (group
commit), so that a slow disk is asked once for all of them. Nobody waits for the disk who does not want to: a write
gives a future, and what waits is bounded. A file that is damaged is set aside and a new one begun; a disk that is full
or can only be read makes writes fail with a clear error until it has room again.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from upriver.errors import DiskTrouble, Draining, QueueFull, UpriverError
from upriver_agent.journal.file import (
    DAMAGE,
    OWN_FAULT,
    Damaged,
    close,
    code,
    open_file,
    open_reader,
    put_aside,
    trouble,
)

T = TypeVar("T")
Job = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]

_LOG = logging.getLogger(__name__)
_GROUP: Final = 64
"""Writes that share a transaction at most."""
_IDLE_S: Final = 5.0
"""After so long without a write the file is closed, and so flushed to the disk; the next write opens it again."""
_OPEN_S: Final = 10.0


class Journal:
    """One SQLite file. Safe to share between threads; `start` it, and `close` it at the end."""

    def __init__(
        self,
        path: Path,
        schema: Sequence[Sequence[str]],
        *,
        durable: bool = True,
        max_pending: int = 256,
        retry_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`schema` has for each version of the file the statements that make it of the one before.

        `durable` has every commit survive a loss of power too, which costs a flush of the disk. At most `max_pending`
        writes wait. A disk that failed is left alone for `retry_s`; writes fail at once meanwhile.
        """
        self.path = path.absolute()
        self.set_aside = 0
        """Files that were found damaged since the start."""
        self.failed = 0
        """Writes that the disk refused since the start."""
        self.trouble = ""
        """Why writes fail now; empty while they do not."""
        self._schema = schema
        self._durable = durable
        self._max_pending = max_pending
        self._retry_s = retry_s
        self._clock = clock
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._opened = threading.Event()
        self._closing = threading.Lock()
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        self._suspect = False
        self._checked = False
        self._retry_at = 0.0
        self._reading = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name=f"upriver-journal-{path.stem}", daemon=True)

    @property
    def pending(self) -> int:
        """Writes that wait."""
        return self._queue.qsize()

    def start(self) -> None:
        """Begins to write; the file is opened in the background."""
        self._thread.start()

    def write(self, change: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """Has `change` run in a transaction on the writing thread; the future ends once that is on the disk.

        It fails with what `change` raised, and then nothing of it is kept, with DiskTrouble when the disk refuses, with
        QueueFull when too many writes wait, and with Draining after `close`. `change` runs once and must not wait.
        """
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                future.set_exception(Draining(f"{self.path.name} is closed"))
            elif self._queue.qsize() >= self._max_pending:
                future.set_exception(
                    QueueFull(f"{self._max_pending} writes wait for {self.path}: its disk is too slow")
                )
            else:
                self._queue.put((change, future))
        return future

    def read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """Gives what `look` finds in what was committed; on the calling thread, one at a time. Raises DiskTrouble."""
        if not self._opened.wait(_OPEN_S):
            raise DiskTrouble(f"{self.path} is still being opened")
        with self._reading:
            try:
                if self._reader is None:
                    self._reader = open_reader(self.path)
                found = look(self._reader)
                if self._writer is None:  # at rest: nothing stays open
                    self._drop_reader()
                return found
            except sqlite3.Error as error:
                self._drop_reader()
                if code(error) in DAMAGE and not self._closed:
                    self._suspect = True
                    self._queue.put((lambda _: None, Future()))  # has the writing thread look at the file anew
                raise trouble(self.path, error) from error

    def close(self, timeout_s: float = 5.0) -> bool:
        """Writes what waits and closes the file; False when the disk took longer than `timeout_s`."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._ready()
        self._opened.set()
        ended = False
        while not ended:
            jobs: list[Job] = []
            job = self._next()
            while job is not None:
                if job[1].set_running_or_notify_cancel():
                    jobs.append(job)
                if len(jobs) == _GROUP:
                    break
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            ended = job is None
            if jobs:
                self._commit(jobs)
        with self._reading:
            self._drop_reader()
            self._drop_writer()

    def _next(self) -> Job | None:
        """Waits for the next write; closes the file when none comes for a while."""
        while True:
            try:
                return self._queue.get(timeout=_IDLE_S if self._writer is not None else None)
            except Empty:
                with self._reading:
                    self._drop_reader()
                    self._drop_writer()

    def _commit(self, jobs: Sequence[Job]) -> None:
        if not self._ready():
            self._refuse(jobs, DiskTrouble(self.trouble))
            return
        assert self._writer is not None  # noqa: S101 - narrows the type; _ready has just made it
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = [_outcome(self._writer, change) for change, _ in jobs]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._lose(error)
            self._refuse(jobs, trouble(self.path, error))
            return
        for (_, future), (value, failure) in zip(jobs, outcomes, strict=True):
            if failure is None:
                future.set_result(value)
            else:
                future.set_exception(trouble(self.path, failure) if isinstance(failure, sqlite3.Error) else failure)

    def _ready(self) -> bool:
        """Whether the file is open, opening it if need be; a failure is tried again after a pause."""
        if self._suspect:
            self._suspect = self._checked = False
            self._drop_writer()
        if self._writer is not None:
            return True
        if self._clock() < self._retry_at:
            return False
        try:
            try:
                self._writer = open_file(self.path, self._schema, self._durable, not self._checked)
            except (Damaged, sqlite3.Error) as error:
                if not isinstance(error, Damaged) and code(error) not in DAMAGE:
                    raise
                self._put_aside(error)
                self._writer = open_file(self.path, self._schema, self._durable, not self._checked)
        except (sqlite3.Error, OSError, Damaged) as error:
            self._lose(error)
            return False
        self._checked = True
        if self.trouble:
            _LOG.info("%s is written again", self.path)
            self.trouble = ""
        return True

    def _put_aside(self, why: Exception) -> None:
        with self._reading:
            self._drop_reader()
            aside = put_aside(self.path)
        self.set_aside += 1
        _LOG.error("%s is damaged (%s): set aside as %s, and a new one is begun", self.path, why, aside.name)

    def _lose(self, error: Exception) -> None:
        """Closes the file after a failure, so that the next writes open it anew: a disk may be another by then."""
        self._drop_writer()
        told = str(trouble(self.path, error))
        self._checked = False
        damaged = isinstance(error, sqlite3.Error) and code(error) in DAMAGE
        self._retry_at = 0.0 if damaged else self._clock() + self._retry_s
        if told != self.trouble:
            _LOG.error("%s", told)
        self.trouble = told

    def _refuse(self, jobs: Sequence[Job], error: UpriverError) -> None:
        self.failed += len(jobs)
        for _, future in jobs:
            future.set_exception(error)

    def _drop_writer(self) -> None:
        close(self._writer)
        self._writer = None

    def _drop_reader(self) -> None:
        close(self._reader)
        self._reader = None


def _outcome(connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], T]) -> tuple[Any, Exception | None]:
    """What one write gave or raised; what it changed is undone if it raised. The disk's errors are raised."""
    value: Any = None
    failure: Exception | None = None
    connection.execute("SAVEPOINT one")
    try:
        value = change(connection)
    except sqlite3.Error as error:
        if code(error) not in OWN_FAULT:
            raise
        failure = error
    except Exception as error:  # noqa: BLE001 - the future carries it to who wrote
        failure = error
    if failure is not None:
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return value, failure
