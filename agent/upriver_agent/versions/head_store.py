"""Heads on disk, each in a file named by its digest: whole or not there, and checked at every opening."""

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble, ModelInvalid
from upriver.heads import MAX_BYTES, Head, read_head
from upriver.listing import digest as digest_of
from upriver.listing import is_digest
from upriver.whole import write_whole

SPARE: Final = 16
"""Heads that nobody names stay while they are among the newest so many: what comes next may be told as their change."""
_LOG = logging.getLogger(__name__)


class HeadStore:
    """The heads of one agent, in `state_dir/heads`. Safe to share between threads."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "heads"
        self._lock = threading.Lock()
        self._holders: list[Callable[[], Iterable[str]]] = []

    def hold(self, named: Callable[[], Iterable[str]]) -> None:
        """Has heads stay whose digests `named` gives."""
        self._holders.append(named)

    def put(self, data: bytes) -> str:
        """Keeps a head's file and gives its digest; raises ModelInvalid when it is none, and DiskTrouble."""
        read_head(data)
        digest = digest_of(data)
        path = self._place(digest)
        with self._lock:
            try:
                write_whole(path, data)
            except OSError as error:
                raise DiskTrouble(f"can't keep head {digest} in {self._folder}: {error.strerror or error}") from error
        return digest

    def data(self, digest: str) -> bytes:
        """A head's file; raises ModelInvalid when it is not here, or no longer whole."""
        if not is_digest(digest):
            raise ModelInvalid(f"head {digest!r}: expected sha256: and 64 digits")
        try:
            with self._place(digest).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ModelInvalid(f"head {digest} is not here: {error.strerror or error}") from error
        if digest_of(data) != digest:
            raise ModelInvalid(f"head {digest} is damaged on disk")
        return data

    def get(self, digest: str) -> Head:
        """A head; raises ModelInvalid when it is not here, or no longer whole."""
        return read_head(self.data(digest))

    def all(self) -> tuple[str, ...]:
        """The digests of what is here, newest first."""
        try:
            found = [(path.stat().st_mtime_ns, path.name) for path in self._folder.iterdir() if len(path.name) == 64]
        except OSError:
            return ()
        return tuple(f"sha256:{name}" for _, name in sorted(found, reverse=True))

    def prune(self) -> None:
        """Removes heads that nobody holds, but for the newest SPARE; what can't be removed stays."""
        held = {digest for named in self._holders for digest in named()}
        with self._lock:
            spare = [self._place(digest) for digest in self.all() if digest not in held][SPARE:]
            for path in (*spare, *self._folder.glob(".*.new")):  # the latter of processes that ended while they wrote
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    _LOG.warning("head %s stays on disk: %s", path.name, error.strerror or error)

    def _place(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")
