"""Taking the files of a version out of a folder, a .zip or a .tar.gz, within bounds.

Members of an archive are never written under their own names: the files that a version may have are found by name and
streamed to where the caller wants them, so an archive can't place anything anywhere else.
"""

import hashlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from upriver.errors import ModelInvalid
from upriver.listing import LIMITS, MANIFEST, MODEL, REQUIRED

MAX_MEMBERS: Final = 10_000
MAX_TOTAL_BYTES: Final = 1 << 32
_CHUNK: Final = 1 << 20


def take(path: Path, into: Path | None) -> dict[str, str]:
    """Copies the files of the version at `path` into the folder `into`, flushed to disk; None only reads them.

    Gives the sha256 of each, in hexadecimal. Raises ModelInvalid when there is no version there.
    """
    if path.is_dir():
        present = [name for name in LIMITS if name in REQUIRED or (path / name).exists()]
        return {name: _copied(path / name, into) for name in present}
    if not path.exists():
        raise ModelInvalid(f"{path}: no such folder or archive; expected {MODEL} and {MANIFEST} inside one")
    try:
        if zipfile.is_zipfile(path):
            return _from_zip(path, into)
        return _from_tar(path, into)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, NotImplementedError) as error:
        raise ModelInvalid(f"{path}: broken or unreadable archive: {error}") from error
    except RuntimeError as error:  # zipfile's way to say that a member is encrypted
        raise ModelInvalid(f"{path}: can't be unpacked: {error}") from error


def sums(folder: Path) -> dict[str, str]:
    """Gives the sha256 of each of a version's files in a folder, in hexadecimal; raises OSError as reading does."""
    found = {}
    for name in LIMITS:
        if name in REQUIRED or (folder / name).exists():
            with (folder / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _copied(source: Path, into: Path | None) -> str:
    try:
        with source.open("rb") as file:
            return _stream(file, into, source.name)
    except FileNotFoundError as error:
        raise ModelInvalid(f"{source.parent}: has no {source.name}; expected {MODEL} and {MANIFEST}") from error
    except OSError as error:
        raise ModelInvalid(f"can't read {source}: {error.strerror or error}") from error


def _stream(file: IO[bytes], into: Path | None, name: str) -> str:
    limit, seen, digest = LIMITS[name], 0, hashlib.sha256()
    with _target(into, name) as out:
        while chunk := file.read(_CHUNK):
            seen += len(chunk)
            if seen > limit:
                raise ModelInvalid(f"{name}: more than {limit} bytes")
            digest.update(chunk)
            if out is not None:
                out.write(chunk)
    return digest.hexdigest()


@contextmanager
def _target(into: Path | None, name: str) -> Iterator[IO[bytes] | None]:
    if into is None:
        yield None
        return
    with (into / name).open("xb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def _from_zip(path: Path, into: Path | None) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise ModelInvalid(f"{path}: {len(members)} members; at most {MAX_MEMBERS}")
        wanted = _Wanted(path)
        for member in members:
            name = wanted.claim(member.filename)
            if name is not None:
                with archive.open(member) as file:
                    wanted.sums[name] = _stream(file, into, name)
    return wanted.complete()


def _from_tar(path: Path, into: Path | None) -> dict[str, str]:
    wanted = _Wanted(path)
    total = 0
    with _tar_stream(path) as archive:
        for count, member in enumerate(archive, 1):
            total += member.size
            if count > MAX_MEMBERS or total > MAX_TOTAL_BYTES:
                raise ModelInvalid(f"{path}: more than {MAX_MEMBERS} members or {MAX_TOTAL_BYTES} bytes inside")
            name = wanted.claim(member.name)
            if name is None:
                continue
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise ModelInvalid(f"{path}: {member.name!r} is not a plain file")
            wanted.sums[name] = _stream(file, into, name)
    return wanted.complete()


@contextmanager
def _tar_stream(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        archive = tarfile.open(path, "r|gz")  # noqa: SIM115 - closed below
    except tarfile.ReadError as error:
        raise ModelInvalid(f"{path}: neither a folder nor a .zip nor a .tar.gz archive") from error
    with archive:
        yield archive


class _Wanted:
    """Which files of a version have been found, all in one folder of the archive."""

    def __init__(self, path: Path) -> None:
        self.sums: dict[str, str] = {}
        self._path = path
        self._parent: PurePosixPath | None = None

    def claim(self, member: str) -> str | None:
        """Gives the file that a member is, or None for one that does not matter."""
        inside = PurePosixPath(member.replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts:
            raise ModelInvalid(f"{self._path}: the member {member!r} points outside the archive")
        if inside.name not in LIMITS or len(inside.parts) > 2:
            return None
        if inside.name in self.sums or self._parent not in (None, inside.parent):
            raise ModelInvalid(f"{self._path}: more than one {inside.name} or folder; expected exactly one version")
        self._parent = inside.parent
        return inside.name

    def complete(self) -> dict[str, str]:
        """Gives the sums; raises ModelInvalid unless everything was there."""
        missing = [name for name in REQUIRED if name not in self.sums]
        if missing:
            raise ModelInvalid(f"{self._path}: has no {' and no '.join(missing)}, at the top or in one folder")
        return self.sums
