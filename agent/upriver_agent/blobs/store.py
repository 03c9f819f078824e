"""Blobs in a folder, under their digests, within a budget; what is on its way lies beside them as `.partial`.

A blob appears under its digest only after its bytes were held against it. A partial file survives the end of the
process: what follows it starts where it ends. A blob is hashed again when it is first used after a start, or after its
file changed, so that damage at rest is noticed and the blob fetched anew.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from upriver.chunks import CHUNK, is_chunk
from upriver.errors import DiskTrouble, InvalidInput, Untrusted
from upriver.listing import is_digest
from upriver_agent.blobs.pruning import Kept, doomed

_PARTIAL = ".partial"


class BlobStore:
    """Blobs in a folder. `pinned` gives the digests that are never deleted; methods raise DiskTrouble."""

    def __init__(
        self,
        folder: Path,
        budget_bytes: int,
        pinned: Callable[[], Iterable[str]] = tuple,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is a Unix time: last uses are remembered across starts."""
        self._folder = folder
        self.budget_bytes = budget_bytes
        self._pinned = pinned
        self._clock = clock
        self._checked: dict[str, tuple[int, int, int]] = {}
        self._coming: dict[str, int] = {}  # digest -> bytes promised to a download
        self._lock = threading.RLock()

    def path(self, digest: str) -> Path | None:
        """The file of a blob that is here, whole and undamaged, noted as used; None when it is not."""
        path = self._path(digest)
        with told(f"blob {digest}"):
            try:
                key = _key(path)
                if self._checked.get(digest) != key:
                    if _digest_of(path) != digest:
                        self._checked.pop(digest, None)
                        path.unlink(missing_ok=True)
                        return None
                    self._checked[digest] = key
                _touch(path, self._clock())
            except FileNotFoundError:
                self._checked.pop(digest, None)
                return None
        return path

    def has(self, digest: str) -> bool:
        """Whether the blob seems to be here; it is held against its digest when it is used."""
        return self._path(digest).is_file()

    def size_bytes(self) -> int:
        """The bytes that are kept, with those on their way."""
        with told("the blobs' folder"):
            return sum(file.size_bytes for file in self._files())

    def reserve(self, digest: str, size_bytes: int) -> None:
        """Makes room for a blob that is about to come; raises DiskTrouble when there is none."""
        with self._lock, told(f"room for {digest}"):
            files = [file for file in self._files() if file.digest != digest and file.digest not in self._coming]
            pinned = {*self._pinned(), digest}
            promised = sum(self._coming.values()) - self._coming.get(digest, 0)
            chosen = doomed(files, pinned, self.budget_bytes, size_bytes + promised)
            if chosen is None:
                raise DiskTrouble(
                    f"no room for {digest}: {size_bytes} bytes, with {self.budget_bytes} for blobs; expected fewer "
                    "pinned blobs or a larger blobs.disk_mib"
                )
            for file in chosen:
                for path in (self._path(file.digest), self._partial_path(file.digest), self.aside(file.digest)):
                    path.unlink(missing_ok=True)
            self._coming[digest] = size_bytes

    def settle(self, digest: str) -> None:
        """Ends what `reserve` began, however it went."""
        with self._lock:
            self._coming.pop(digest, None)

    def partial(self, digest: str, size_bytes: int, sums: bytes = b"") -> "Partial":
        """Opens the partial file of a blob, cut to what of it is right; `sums` is its chunk list, if it is known."""
        with told(f"blob {digest}"):
            self._folder.mkdir(parents=True, exist_ok=True)
            return Partial(self._partial_path(digest), self._path(digest), digest, size_bytes, sums, self._clock)

    def aside(self, digest: str) -> Path:
        """Where a blob may be written that is not made in order; see `adopt`."""
        return self._folder / f"{digest.removeprefix('sha256:')}.made"

    def adopt(self, digest: str, made: Path) -> None:
        """Takes a flushed file whose bytes were held against the digest."""
        with told(f"blob {digest}"):
            made.replace(self._path(digest))
            self._partial_path(digest).unlink(missing_ok=True)
            _flush_folder(self._folder)
            _touch(self._path(digest), self._clock())

    def _files(self) -> Iterator[Kept]:
        if not self._folder.is_dir():
            return
        sizes: dict[str, tuple[int, float]] = {}
        for path in self._folder.iterdir():
            name = f"sha256:{path.name.partition('.')[0]}"
            if is_digest(name):
                try:
                    facts = path.stat()
                except FileNotFoundError:  # a download has just moved it to its place
                    continue
                size, used = sizes.get(name, (0, 0.0))
                sizes[name] = (size + facts.st_size, max(used, facts.st_atime))
        for name, (size, used) in sizes.items():
            yield Kept(name, size, used)

    def _path(self, digest: str) -> Path:
        if not is_digest(digest):
            raise InvalidInput(f"{digest[:80]!r} is no blob's name; expected sha256: and 64 hexadecimal digits")
        return self._folder / digest.removeprefix("sha256:")

    def _partial_path(self, digest: str) -> Path:
        path = self._path(digest)
        return path.with_name(path.name + _PARTIAL)


class Partial:
    """A blob on its way. `verified` bytes are here, in order; of one writer, read by others through `path`."""

    def __init__(
        self, path: Path, final: Path, digest: str, size_bytes: int, sums: bytes, clock: Callable[[], float]
    ) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._final = final
        self._digest = digest
        self._sums = sums
        self._clock = clock
        self._chunk = bytearray()
        self._file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
        self.verified = self._resume()

    def add(self, data: bytes) -> None:
        """Takes the next bytes; raises Untrusted when they are not the blob's, and forgets the chunk then."""
        if self.offset + len(data) > self.size_bytes:
            self._chunk.clear()
            raise Untrusted(f"more than {self.size_bytes} bytes for {self._digest}")
        if not self._sums:
            self._write(data)
            return
        for start in range(0, len(data), CHUNK):
            self._chunk += data[start : start + CHUNK]
            while len(self._chunk) >= CHUNK or (self._chunk and self.offset == self.size_bytes):
                piece = bytes(self._chunk[:CHUNK])
                if not is_chunk(self._sums, self.verified // CHUNK, piece):
                    self._chunk.clear()
                    raise Untrusted(f"chunk {self.verified // CHUNK} of {self._digest} is not what was signed")
                self._write(piece)
                del self._chunk[:CHUNK]

    @property
    def offset(self) -> int:
        """The next byte that is wanted."""
        return self.verified + len(self._chunk)

    def rewind(self) -> None:
        """Forgets a chunk that did not come whole."""
        self._chunk.clear()

    def restart(self) -> None:
        """Forgets all."""
        self._chunk.clear()
        with told(f"blob {self._digest}"):
            self._file.truncate(0)
            self._file.seek(0)
        self.verified = 0

    def finish(self) -> Path:
        """Moves the file to its place; raises Untrusted when the bytes are not the digest's, which are then gone."""
        with told(f"blob {self._digest}"):
            self._file.flush()
            if self.verified != self.size_bytes or _digest_of(self.path) != self._digest:
                self.restart()
                raise Untrusted(f"what came is not {self._digest}")
            os.fsync(self._file.fileno())
            self.path.replace(self._final)
            _flush_folder(self._final.parent)
            _touch(self._final, self._clock())
        return self._final

    def close(self) -> None:
        """Closes the file; what is verified stays."""
        with told(f"blob {self._digest}"):
            self._file.close()

    def _write(self, data: bytes) -> None:
        with told(f"blob {self._digest}"):
            self._file.write(data)
            self._file.flush()  # to the kernel, for those who read along and for kill -9
        self.verified += len(data)

    def _resume(self) -> int:
        size = self._file.seek(0, os.SEEK_END)
        verified = size if size <= self.size_bytes else 0
        if self._sums:
            self._file.seek(0)
            verified = 0
            while data := self._file.read(CHUNK):
                whole = len(data) == CHUNK or verified + len(data) == self.size_bytes
                if not whole or not is_chunk(self._sums, verified // CHUNK, data):
                    break
                verified += len(data)
        self._file.truncate(verified)
        self._file.seek(verified)
        return verified


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turns what the disk says into DiskTrouble."""
    try:
        yield
    except OSError as error:
        raise DiskTrouble(f"{what}: {error.strerror or error}; expected a disk that can be written to") from error


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        found: Any = hashlib.file_digest(file, "sha256")
    return f"sha256:{found.hexdigest()}"


def _key(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _touch(path: Path, now: float) -> None:
    os.utime(path, ns=(int(now * 1e9), path.stat().st_mtime_ns))


def _flush_folder(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
