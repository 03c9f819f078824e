"""Blobs by digest at a URL of fsspec's: a folder, or an object store such as S3.

A blob is there whole or not at all, and only under the digest that its bytes have: in a folder it is written aside,
flushed and renamed; object stores show an object when its upload is complete.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

import fsspec.core
from fsspec.implementations.local import LocalFileSystem

from upriver.errors import (
    BlobNotFound,
    ConfigError,
    DiskTrouble,
    InvalidInput,
    ModelInvalid,
    RuntimeMissing,
    Unreachable,
    UpriverError,
)
from upriver.listing import is_digest

CHUNK: Final = 1 << 20
_SPOOLED: Final = 8 << 20


class Artifacts(Protocol):
    """Keeps blobs by digest. Methods block; they raise DiskTrouble when a folder fails, Unreachable for a store."""

    def put(self, digest: str, stream: IO[bytes]) -> int:
        """Keeps the bytes of a stream, read to its end, and gives their number; a blob that is there whole stays.

        Raises ModelInvalid, and keeps nothing, when they have another digest.
        """
        ...

    def read(self, digest: str, offset: int = 0, size: int | None = None) -> bytes:
        """Gives bytes from an offset on (all, without a size; fewer at the end); raises BlobNotFound.

        A blob that is read whole is held against its digest: DiskTrouble when it is damaged.
        """
        ...

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        ...

    def size(self, digest: str) -> int:
        """The blob's bytes; raises BlobNotFound."""
        ...

    def delete(self, digest: str) -> None:
        """Deletes the blob; one that is not there is no error."""
        ...

    def digests(self) -> Iterator[str]:
        """The digests of all blobs, in no order."""
        ...


class FsspecArtifacts:
    """Artifacts at a URL. Blobs lie in folders by the first two digits."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """`options` go to the file system, for example `endpoint_url` of an S3 service.

        They can be given in the environment as well: FSSPEC_S3_ENDPOINT_URL. Raises ConfigError for a URL that
        nothing serves, RuntimeMissing when what serves it is not installed.
        """
        try:
            # Other processes write and delete there too: a remembered listing would be wrong.
            self._files, self._root = fsspec.core.url_to_fs(url, **{"use_listings_cache": False, **(options or {})})
        except ImportError as error:
            raise RuntimeMissing(f"artifacts {url!r}: {error}; S3 needs: pip install 'upriver[s3]'") from error
        except ValueError as error:
            raise ConfigError("configuration", [f"artifacts {url!r}: {error}; expected a folder or a URL"]) from error
        self._local = isinstance(self._files, LocalFileSystem)

    def put(self, digest: str, stream: IO[bytes]) -> int:
        """See `Artifacts`."""
        path = self._path(digest)
        with self._told(digest), self._aside(path) as aside:
            size = _copy_checked(digest, stream, aside)
            if not self._is_whole(digest):
                aside.seek(0)
                self._keep(aside, path)
        return size

    def read(self, digest: str, offset: int = 0, size: int | None = None) -> bytes:
        """See `Artifacts`."""
        with self._told(digest), self._files.open(self._path(digest), "rb") as file:
            if offset:
                file.seek(offset)
            data: bytes = file.read(-1 if size is None else size)
        if offset == 0 and size is None and _name(hashlib.sha256(data)) != digest:
            raise DiskTrouble(f"blob {digest} is damaged where it is kept ({self._root}): publish the version again")
        return data

    def has(self, digest: str) -> bool:
        """See `Artifacts`."""
        try:
            self.size(digest)  # isfile would take a store that can't be reached for one that has nothing
        except BlobNotFound:
            return False
        return True

    def size(self, digest: str) -> int:
        """See `Artifacts`."""
        with self._told(digest):
            return int(self._files.size(self._path(digest)))

    def delete(self, digest: str) -> None:
        """See `Artifacts`."""
        try:
            with self._told(digest):
                self._files.rm_file(self._path(digest))
        except BlobNotFound:
            return

    def digests(self) -> Iterator[str]:
        """See `Artifacts`."""
        with self._told(""):
            if not self._files.isdir(self._root):
                return
            for path in self._files.find(self._root):
                name = f"sha256:{path.rsplit('/', 1)[-1]}"
                if is_digest(name):
                    yield name

    def _path(self, digest: str) -> str:
        if not is_digest(digest):
            raise InvalidInput(f"{digest[:80]!r} is no blob's name; expected sha256: and 64 hexadecimal digits")
        digits = digest.removeprefix("sha256:")
        return f"{self._root.rstrip('/')}/{digits[:2]}/{digits}"

    def _is_whole(self, digest: str) -> bool:
        try:
            with self._files.open(self._path(digest), "rb") as file:
                found = hashlib.sha256()
                while data := file.read(CHUNK):
                    found.update(data)
        except FileNotFoundError:
            return False
        return _name(found) == digest

    @contextmanager
    def _aside(self, path: str) -> Iterator[IO[bytes]]:
        """A file to write to; in a folder on the same file system, so that it can be renamed."""
        if not self._local:
            with tempfile.SpooledTemporaryFile(_SPOOLED) as spooled:
                yield spooled
            return
        folder = Path(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".incoming-", delete=False) as file:
            try:
                yield file
            finally:
                Path(file.name).unlink(missing_ok=True)

    def _keep(self, aside: IO[bytes], path: str) -> None:
        if self._local:
            aside.flush()
            os.fsync(aside.fileno())
            Path(aside.name).replace(path)
            _flush(Path(path).parent)
            return
        with self._files.open(path, "wb") as out:
            while data := aside.read(CHUNK):
                out.write(data)

    @contextmanager
    def _told(self, digest: str) -> Iterator[None]:
        try:
            yield
        except UpriverError:
            raise
        except FileNotFoundError as error:
            raise BlobNotFound(f"there is no blob {digest} in {self._root}") from error
        except Exception as error:  # told below unless it is ours; object stores raise their libraries' own kinds
            if self._local and not isinstance(error, OSError):
                raise
            what = getattr(error, "strerror", None) or error
            kind = DiskTrouble if self._local else Unreachable
            raise kind(f"artifacts in {self._root}: {what}") from error


def put_bytes(artifacts: Artifacts, digest: str, data: bytes) -> None:
    """Keeps some bytes; raises as `Artifacts.put` does."""
    artifacts.put(digest, io.BytesIO(data))


def _copy_checked(digest: str, stream: IO[bytes], out: IO[bytes]) -> int:
    found, size = hashlib.sha256(), 0
    while data := stream.read(CHUNK):
        found.update(data)
        size += len(data)
        out.write(data)
    if _name(found) != digest:
        raise ModelInvalid(f"the bytes have the digest {_name(found)}; expected {digest}")
    return size


def _name(found: Any) -> str:
    return f"sha256:{found.hexdigest()}"


def _flush(folder: Path) -> None:
    """Makes a rename inside the folder last."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
