"""One download that any number of threads wait for, and may read while it comes."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from upriver.errors import Unreachable, UpriverError
from upriver_agent.blobs.sources import Transfer


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a download: bytes in order, the size (-1: not known), the file, and how often it began anew."""

    verified: int
    size_bytes: int
    file: Path | None
    generation: int
    done: bool


class Flight:
    """A download under way. It is abandoned when nobody waits for it any more."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.ended = threading.Event()
        self.abandoned = threading.Event()
        self._changed = threading.Condition()
        self._progress = Progress(0, -1, None, 0, False)
        self._error: UpriverError | None = None
        self._waiters = 0
        self._transfer: Transfer | None = None
        self._since: float | None = None

    def enter(self) -> bool:
        """One more waits; False when it is too late for that."""
        with self._changed:
            if self.abandoned.is_set():
                return False
            self._waiters += 1
            return True

    def leave(self) -> None:
        """One waits no longer."""
        with self._changed:
            self._waiters -= 1
            if self._waiters == 0 and not self.ended.is_set():
                self.abandoned.set()

    def wait(self, beyond: int, timeout_s: float) -> Progress:
        """Waits until more than `beyond` bytes are here, or the end, or the timeout; raises what ended it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.ended.is_set() or (self._progress.file is not None and self._progress.verified > beyond),
                timeout_s,
            )
            if self._error is not None:
                raise self._error
            return self._progress

    def advance(self, verified: int, size_bytes: int, file: Path) -> None:
        """So much is here."""
        with self._changed:
            restarted = verified < self._progress.verified
            self._progress = Progress(verified, size_bytes, file, self._progress.generation + restarted, False)
            self._changed.notify_all()

    def succeed(self, path: Path) -> None:
        """The blob is here, whole."""
        with self._changed:
            size = path.stat().st_size
            self._progress = Progress(size, size, path, self._progress.generation, True)
            self.ended.set()
            self._changed.notify_all()

    def fail(self, error: UpriverError) -> None:
        """It ended otherwise."""
        with self._changed:
            if not self.ended.is_set():
                self._error = error
                self.ended.set()
                self._changed.notify_all()

    def expect(self, transfer: Transfer | None) -> None:
        """A transfer owes the next byte from now on; None owes nothing."""
        with self._changed:
            self._transfer, self._since = transfer, None if transfer is None else time.monotonic()

    def check(self, stall_s: float) -> None:
        """Ends a transfer that owes a byte for too long, or that nobody waits for."""
        with self._changed:
            transfer, since = self._transfer, self._since
        if transfer is None or since is None:
            return
        if self.abandoned.is_set() or time.monotonic() - since > stall_s:
            transfer.cancel()

    def give_up(self) -> None:
        """Raises Unreachable when nobody waits any more."""
        if self.abandoned.is_set():
            raise Unreachable(f"the download of {self.digest} was cancelled")
