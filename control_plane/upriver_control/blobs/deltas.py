"""Deltas between blobs, made when they are first asked for, each once; kept as blobs among the artifacts."""

import hashlib
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from upriver.chunks import CHUNK
from upriver.errors import BlobNotFound, DiskTrouble, InvalidInput, QueueFull
from upriver.patch import MAX_BYTES, make_delta

_WORTH: Final = 0.8
_REMEMBERED: Final = 4096
_WAITING: Final = 64


class Blobs(Protocol):
    """What is needed of the artifacts."""

    def put(self, digest: str, stream: IO[bytes]) -> int:
        """Keeps a blob."""
        ...

    def read(self, digest: str, offset: int = 0, size: int | None = None) -> bytes:
        """Gives bytes of a blob; raises BlobNotFound."""
        ...

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        ...

    def size(self, digest: str) -> int:
        """The blob's bytes; raises BlobNotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Made:
    """A delta: its own digest and size, and the size of what it leads to."""

    digest: str
    delta_bytes: int
    size_bytes: int


class Deltas:
    """Makes deltas, a few at a time. `make` is what makes one."""

    def __init__(self, blobs: Blobs, workers: int = 1, make: Callable[[Path, Path, Path], int] = make_delta) -> None:
        self._blobs = blobs
        self._make = make
        self._pool = ThreadPoolExecutor(workers, "upriver-delta")
        self._known: dict[tuple[str, str], Future[Made | None]] = {}
        self._lock = threading.Lock()

    def find(self, base: str, new: str) -> "Future[Made | None]":
        """The delta between two blobs; None when it would not be worth it. Raises QueueFull."""
        with self._lock:
            known = self._known.get((base, new))
            if known is not None and not _lost(known, self._blobs):
                return known
            if sum(not future.done() for future in self._known.values()) >= _WAITING:
                raise QueueFull(f"{_WAITING} deltas are being made; expected another try, or the whole blob")
            if len(self._known) >= _REMEMBERED:
                self._known = {pair: future for pair, future in self._known.items() if not future.done()}
            made = self._known[base, new] = self._pool.submit(self._produce, base, new)
            return made

    def close(self) -> None:
        """Makes no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _produce(self, base: str, new: str) -> Made | None:
        try:
            size = self._blobs.size(new)
            if not 8 <= size <= MAX_BYTES or not 8 <= self._blobs.size(base) <= MAX_BYTES:
                return None
        except BlobNotFound:
            return None
        try:
            with tempfile.TemporaryDirectory(prefix="upriver-delta-") as name:
                return self._within(Path(name), base, new, size)
        except InvalidInput:
            return None
        except OSError as error:
            raise DiskTrouble(f"a delta can't be made: {error.strerror or error}") from error

    def _within(self, folder: Path, base: str, new: str, size: int) -> Made | None:
        self._copy(base, folder / "base")
        self._copy(new, folder / "new")
        delta_bytes = self._make(folder / "base", folder / "new", folder / "delta")
        if delta_bytes >= _WORTH * size:
            return None
        with (folder / "delta").open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            file.seek(0)
            self._blobs.put(digest, file)
        return Made(digest, delta_bytes, size)

    def _copy(self, digest: str, path: Path) -> None:
        found, offset = hashlib.sha256(), 0
        with path.open("wb") as out:
            while data := self._blobs.read(digest, offset, CHUNK):
                out.write(data)
                found.update(data)
                offset += len(data)
        if f"sha256:{found.hexdigest()}" != digest:
            raise DiskTrouble(f"blob {digest} is damaged where it is kept: publish the version again")


def _lost(known: "Future[Made | None]", blobs: Blobs) -> bool:
    if not known.done():
        return False
    if known.cancelled() or known.exception() is not None:
        return True
    made = known.result()
    return made is not None and not blobs.has(made.digest)
