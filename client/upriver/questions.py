"""A questions file: rows of a model's canonical inputs, with their true labels where they are known.

A zip archive of plain numpy arrays in groups of rows, so that neither writer nor reader has more than one group in
memory. Nothing is compressed and dates are fixed: the same rows are the same bytes, which are named by their SHA-256.
Members are `{group:08d}/{array}.npy`, where arrays are `inputs/<name>` [rows, ...] and `labels`; texts and encoded
images are uint8 [bytes], and beside them `<array>.offsets` int64 [rows + 1]. What a model answered is kept alike.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput

Array = NDArray[Any]

INPUTS: Final = "inputs/"
LABELS: Final = "labels"
GROUP_ROWS: Final = 256
GROUP_BYTES: Final = 16 << 20
MAX_GROUP_BYTES: Final = 1 << 29
MAX_GROUP_ROWS: Final = 65_536
MAX_GROUPS: Final = 4_000_000
MAX_ARRAYS: Final = 64
_OFFSETS: Final = ".offsets"
_ROWS_TOGETHER: Final = 32
"""Rows with bytes in them, whose size is not known before: so many make a group."""
_BROKEN: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Index:
    """What a file holds: rows in all, the arrays' names, and whether there are labels."""

    rows: int
    arrays: tuple[str, ...]

    @property
    def has_labels(self) -> bool:
        """Whether every row has its true label."""
        return LABELS in self.arrays


class RowsWriter:
    """Writes rows to a file that is open for writing; a context manager, which ends the archive.

    Arrays of bytes or texts are object arrays [rows].
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = _Counted(out)
        # It has all of a file that an archive asks for which is written from the beginning to the end.
        self._archive = zipfile.ZipFile(cast(IO[bytes], self._out), "w", zipfile.ZIP_STORED)
        self._waiting: dict[str, list[Array]] = {}
        self._rows = 0
        self._group = 0
        self._together = 0
        self.rows = 0
        """Rows that were added."""

    def add(self, arrays: Mapping[str, Array]) -> None:
        """Adds rows: every array is [rows, ...] with the same rows; names and row shapes never change."""
        rows = len(next(iter(arrays.values())))
        if not self._together:
            self._together = _rows_together(arrays)
            self._waiting = {name: [] for name in arrays}
        at = 0
        while at < rows:
            taken = min(rows - at, self._together - self._rows)
            for name, parts in self._waiting.items():
                parts.append(arrays[name][at : at + taken])
            self._rows += taken
            at += taken
            if self._rows == self._together:
                self._flush()
        self.rows += rows

    @property
    def digest(self) -> str:
        """`sha256:` and 64 digits of all that was written; to be asked for when the archive has ended."""
        return f"sha256:{self._out.found.hexdigest()}"

    @property
    def size_bytes(self) -> int:
        """How many bytes were written."""
        return self._out.size

    def __enter__(self) -> "RowsWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._rows:
            self._flush()
        self._archive.close()

    def _flush(self) -> None:
        for name in sorted(self._waiting):
            parts = self._waiting[name]
            array = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if array.dtype == object:
                items = [item.encode() if isinstance(item, str) else bytes(item) for item in array]
                self._put(name, np.frombuffer(b"".join(items), np.uint8))
                self._put(name + _OFFSETS, np.cumsum([0, *map(len, items)], dtype=np.int64))
            else:
                self._put(name, array)
            parts.clear()
        self._rows = 0
        self._group += 1

    def _put(self, name: str, array: Array) -> None:
        member = zipfile.ZipInfo(f"{self._group:08d}/{name}.npy")  # its date is fixed
        with self._archive.open(member, "w", force_zip64=True) as out:
            np.lib.format.write_array(out, np.asarray(array, order="C"), allow_pickle=False)


class _Counted:
    """A file that is only ever added to: what was written is counted and hashed on its way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.found = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Adds some bytes."""
        self.found.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Hands on what is buffered."""
        self._file.flush()


def read_index(path: Path) -> Index:
    """What a file holds, from its members' headers alone; raises InvalidInput when it is none."""
    rows, names = 0, None
    with _opened(path) as archive:
        for group, members in _groups(archive, path):
            known = tuple(sorted(name for name in members if not name.endswith(_OFFSETS)))
            if names is not None and known != names:
                raise InvalidInput(f"{path.name}: group {group} has {', '.join(known)}; others have {', '.join(names)}")
            names = known
            counts = {_count(archive, members, name, path) for name in known}
            if len(counts) != 1:
                raise InvalidInput(f"{path.name}: group {group}: {sorted(counts)} rows; expected the same everywhere")
            rows += counts.pop()
    return Index(rows, names or ())


def read_rows(path: Path) -> Iterator[dict[str, Array]]:
    """Gives a file's arrays group by group; bytes and texts come as object arrays of bytes. Raises InvalidInput."""
    with _opened(path) as archive:
        for _, members in _groups(archive, path):
            found = {}
            for name, member in members.items():
                if name.endswith(_OFFSETS):
                    continue
                array = _array(archive, member, path)
                if (beside := members.get(name + _OFFSETS)) is not None:
                    array = _apart(array, _array(archive, beside, path), f"{path.name}: {member.filename}")
                found[name] = array
            yield found


def inputs_of(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The canonical inputs among a group's arrays, by their own names."""
    return {name.removeprefix(INPUTS): array for name, array in arrays.items() if name.startswith(INPUTS)}


def _rows_together(arrays: Mapping[str, Array]) -> int:
    """How many rows make a group: decided once, by the kind of a row and not by how rows happen to come."""
    dense = sum(int(array[:1].nbytes) for array in arrays.values() if array.dtype != object)
    most = max(1, min(GROUP_ROWS, GROUP_BYTES // max(1, dense)))
    images = any(array.dtype == object and name != LABELS for name, array in arrays.items())
    return min(most, _ROWS_TOGETHER) if images else most


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _BROKEN as error:
        raise InvalidInput(f"{path.name}: no questions file: {error}") from error


def _groups(archive: zipfile.ZipFile, path: Path) -> Iterator[tuple[str, dict[str, zipfile.ZipInfo]]]:
    groups: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for member in archive.infolist():
        group, slash, name = member.filename.partition("/")
        if not slash or not group.isdecimal() or not name.endswith(".npy") or member.compress_type:
            raise InvalidInput(f"{path.name}: {member.filename[:80]!r} is no part of a questions file")
        if member.file_size > MAX_GROUP_BYTES:
            raise InvalidInput(f"{path.name}: {member.filename}: {member.file_size} bytes; at most {MAX_GROUP_BYTES}")
        groups.setdefault(group, {})[name.removesuffix(".npy")] = member
    if len(groups) > MAX_GROUPS or any(len(members) > 2 * MAX_ARRAYS for members in groups.values()):
        raise InvalidInput(f"{path.name}: {len(groups)} groups; at most {MAX_GROUPS} of {MAX_ARRAYS} arrays")
    yield from sorted(groups.items())


def _count(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str, path: Path) -> int:
    beside = members.get(name + _OFFSETS)
    member = members[name] if beside is None else beside
    try:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
    except _BROKEN as error:
        raise InvalidInput(f"{path.name}: {member.filename}: {error}") from error
    rows = (shape[0] if shape else 0) - (beside is not None)
    if dtype.hasobject or not 0 < rows <= MAX_GROUP_ROWS:
        raise InvalidInput(f"{path.name}: {member.filename}: {rows} rows of {dtype}; expected 1 to {MAX_GROUP_ROWS}")
    return int(rows)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Array:
    try:
        with archive.open(member) as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
    except _BROKEN as error:
        raise InvalidInput(f"{path.name}: {member.filename}: {error}") from error
    return array


def _apart(data: Array, offsets: Array, where: str) -> Array:
    edges = offsets.tolist() if offsets.ndim == 1 and offsets.dtype == np.int64 else []
    if data.dtype != np.uint8 or data.ndim != 1 or not edges or edges[0] or edges[-1] != len(data):
        raise InvalidInput(f"{where}: expected uint8 [bytes] and offsets int64 [rows + 1] from 0 to their number")
    if any(stop < start for start, stop in pairwise(edges)):
        raise InvalidInput(f"{where}: offsets must not fall")
    items = np.empty(len(edges) - 1, object)
    items[:] = [data[start:stop].tobytes() for start, stop in pairwise(edges)]
    return items
