"""Data in .npz files: arrays named as the model's canonical inputs, rows first, and `label` if there are labels.

Arrays are read row group by row group out of the archive, so that a file may be larger than memory.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput
from upriver_control.intake.contract import Input
from upriver_control.intake.rows import Batch, Data, as_labels, fitted

LABEL: Final = "label"
_BROKEN: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool


def open_arrays(paths: Sequence[Path], contract: Sequence[Input]) -> Data:
    """Opens .npz files; raises InvalidInput naming file and array when one does not fit the contract."""
    rows, labelled = 0, set()
    for path in paths:
        count, has_labels = _looked_over(path, contract)
        rows += count
        labelled.add(has_labels)
    if len(labelled) > 1:
        raise InvalidInput(f"{paths[0].parent}: some files have {LABEL!r} and others do not")
    told = paths[0].name if len(paths) == 1 else f"{len(paths)} .npz files"
    return Data(told, rows, labelled == {True}, _all(paths, contract))


def _looked_over(path: Path, contract: Sequence[Input]) -> tuple[int, bool]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            headers = {name: _header(archive, name) for name in names}
    except _BROKEN as error:
        raise InvalidInput(f"{path.name}: can't be read as an .npz file of plain arrays: {error}") from error
    for wanted in contract:
        if wanted.encoded:
            raise InvalidInput(
                f"{path.name}: input {wanted.name!r} takes encoded images, which arrays do not hold; give a folder of"
                " images, or Parquet with a binary column"
            )
        if wanted.name not in headers:
            raise InvalidInput(
                f"{path.name}: has no array {wanted.name!r}; it has {', '.join(sorted(names)) or 'none'}; expected "
                f"{'; '.join(map(str, contract))}, rows first{'' if LABEL in names else f', and {LABEL!r} if you like'}"
            )
    used = [*(wanted.name for wanted in contract), *([LABEL] if LABEL in headers else [])]
    counts = {name: headers[name].shape[0] if headers[name].shape else 0 for name in used}
    if len(set(counts.values())) != 1 or not max(counts.values()):
        told = ", ".join(f"{name!r} has {count} rows" for name, count in counts.items())
        raise InvalidInput(f"{path.name}: {told}; expected the same number everywhere, at least one")
    return max(counts.values()), LABEL in headers


def _header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(f"{name}.npy") as file:
        return _read_header(file)


def _read_header(file: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("an array of Python objects; expected numbers, or texts for labels")
    return _Header(shape, dtype, by_columns)


def _all(paths: Sequence[Path], contract: Sequence[Input]) -> Iterator[Batch]:
    for path in paths:
        try:
            yield from _file(path, contract)
        except _BROKEN as error:
            raise InvalidInput(f"{path.name}: is broken: {error}") from error


def _file(path: Path, contract: Sequence[Input]) -> Iterator[Batch]:
    with zipfile.ZipFile(path) as archive, ExitStack() as stack:
        labelled = f"{LABEL}.npy" in archive.namelist()
        names = [*(wanted.name for wanted in contract), *([LABEL] if labelled else [])]
        files = {name: stack.enter_context(archive.open(f"{name}.npy")) for name in names}
        headers = {name: _read_header(file) for name, file in files.items()}
        rows = next(iter(headers.values())).shape[0]
        row_bytes = sum(header.dtype.itemsize * int(np.prod(header.shape[1:])) for header in headers.values())
        together = max(1, min(4096, _BYTES // max(1, row_bytes)))
        whole = {name: _by_columns(files[name], header) for name, header in headers.items() if header.by_columns}
        for start in range(0, rows, together):
            count = min(together, rows - start)
            parts = {
                name: whole[name][start : start + count] if name in whole else _rows(files[name], headers[name], count)
                for name in names
            }
            where = f"{path.name}, rows from {start} on"
            inputs = {
                wanted.name: fitted(wanted, parts[wanted.name], f"{where}: array {wanted.name!r}")
                for wanted in contract
            }
            yield Batch(inputs, as_labels(parts[LABEL], where) if labelled else None)


def _rows(file: IO[bytes], header: _Header, count: int) -> NDArray[Any]:
    shape = (count, *header.shape[1:])
    size = header.dtype.itemsize * int(np.prod(shape))
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends in the middle of an array")
    return np.frombuffer(data, header.dtype).reshape(shape)


def _by_columns(file: IO[bytes], header: _Header) -> NDArray[Any]:
    """An array that was written column by column has no rows that could be read one after the other."""
    flat = _rows(file, _Header((int(np.prod(header.shape)),), header.dtype, False), int(np.prod(header.shape)))
    return flat.reshape(header.shape, order="F")
