"""Golden samples: inputs with the outputs that a version must give for them, packed with it as `golden.npz`.

The file holds arrays: `inputs/<canonical name>` [rows, *shape] and `outputs/<output name>` [rows, ...]. Encoded images
are `inputs/<name>`, the bytes of all of them in a row as uint8, and `inputs/<name>.offsets`, int64 [rows + 1], where
each begins and the last ends. `tolerance`, a number, takes the place of TOLERANCE.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import GoldenMismatch, ModelInvalid
from upriver.listing import GOLDEN, LIMITS
from upriver.tensors import DTYPES
from upriver_agent.versions.manifest import Canonical, Manifest, TaskKind
from upriver_agent.versions.store import Version

Array = NDArray[Any]

TOLERANCE: Final = 1e-3
"""How far a number may be off, absolutely and as a share of the golden one: both are added, as numpy.allclose does."""
MAX_ROWS: Final = 10_000
MAX_UNPACKED_BYTES: Final = 1 << 28
MAX_ARRAYS: Final = 256
_INPUTS: Final = "inputs/"
_OUTPUTS: Final = "outputs/"
_OFFSETS: Final = ".offsets"
_BROKEN: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True)
class Golden:
    """Golden samples. Encoded images are object arrays [rows] of bytes."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    tolerance: float = TOLERANCE

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self.inputs.values())))


def read_golden(path: Path, manifest: Manifest) -> Golden:
    """Reads a version's golden samples; raises ModelInvalid when they do not fit the manifest, or are broken."""
    arrays = read_arrays(path)
    inputs = read_inputs(arrays, manifest, GOLDEN)
    outputs = {name.removeprefix(_OUTPUTS): arrays[name] for name in arrays if name.startswith(_OUTPUTS)}
    tolerance = arrays.get("tolerance", np.float64(TOLERANCE))
    known = {key for canonical in manifest.canonical for key in _keys(canonical)}
    strange = [name for name in arrays if name not in known and not name.startswith(_OUTPUTS) and name != "tolerance"]
    if strange:
        raise ModelInvalid(
            f"{GOLDEN}: has {', '.join(map(repr, sorted(strange)))}; expected {', '.join(sorted(known))}"
        )
    if not outputs:
        raise ModelInvalid(f"{GOLDEN}: has no output; expected at least one array outputs/<output name>")
    if tolerance.shape != () or tolerance.dtype.kind not in "fiu" or not 0 <= float(tolerance) < math.inf:
        raise ModelInvalid(f"{GOLDEN}: tolerance is {tolerance!r}; expected one number, 0 or above")
    golden = Golden(inputs, outputs, float(tolerance))
    for name, output in outputs.items():
        if output.ndim == 0 or len(output) != golden.rows or output.dtype.kind not in "fiub":
            raise ModelInvalid(
                f"{GOLDEN}: output {name!r} is {output.dtype} {list(output.shape)}; expected numbers for "
                f"{golden.rows} rows, the rows first"
            )
    return golden


def read_arrays(path: Path) -> dict[str, Array]:
    """Reads an .npz file within bounds, and without pickle; raises ModelInvalid."""
    most = LIMITS.get(path.name, LIMITS[GOLDEN])
    try:
        if path.stat().st_size > most:
            raise ModelInvalid(f"{path.name}: {path.stat().st_size} bytes; at most {most}")
        with zipfile.ZipFile(path) as members:
            infos = members.infolist()
            unpacked = sum(info.file_size for info in infos)
        if len(infos) > MAX_ARRAYS or unpacked > MAX_UNPACKED_BYTES:
            raise ModelInvalid(
                f"{path.name}: {len(infos)} arrays, {unpacked} bytes unpacked; at most {MAX_ARRAYS} and "
                f"{MAX_UNPACKED_BYTES}"
            )
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _BROKEN as error:
        raise ModelInvalid(f"{path.name}: can't be read as an .npz file of plain arrays: {error}") from error


def read_inputs(arrays: Mapping[str, Array], manifest: Manifest, source: str) -> dict[str, Array]:
    """The canonical inputs among some arrays; raises ModelInvalid unless all are there and fit."""
    inputs = {}
    for canonical in manifest.canonical:
        key = _INPUTS + canonical.name
        if key not in arrays:
            raise ModelInvalid(f"{source}: has no {key!r}; it has {', '.join(sorted(arrays)) or 'nothing'}")
        inputs[canonical.name] = _images(arrays, key, source) if canonical.encoded else arrays[key]
        if not canonical.encoded:
            _check_input(canonical, arrays[key], source)
    rows = {len(array) for array in inputs.values()}
    if len(rows) != 1 or not 0 < max(rows) <= MAX_ROWS:
        raise ModelInvalid(f"{source}: {sorted(rows)} rows; expected the same number for every input, 1 to {MAX_ROWS}")
    return inputs


def write_golden(golden: Golden, out: IO[bytes]) -> None:
    """Writes golden samples, byte for byte the same for the same samples."""
    arrays: dict[str, Array] = {}
    for name, array in golden.inputs.items():
        if array.dtype == object:
            arrays[_INPUTS + name] = np.frombuffer(b"".join(array), np.uint8)
            arrays[_INPUTS + name + _OFFSETS] = np.cumsum([0, *map(len, array)], dtype=np.int64)
        else:
            arrays[_INPUTS + name] = array
    arrays |= {_OUTPUTS + name: array for name, array in golden.outputs.items()}
    arrays["tolerance"] = np.array(golden.tolerance, np.float64)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(arrays[name], order="C"), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed, so that the digest is
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, buffer.getvalue())


def compare(golden: Golden, version: Version, found: Mapping[str, Array]) -> None:
    """Raises GoldenMismatch, naming row and output, unless what was found is what was expected.

    Numbers may be off by the tolerance and by one quantisation step. A classifier's winning class must be the golden
    one, unless the golden scores of both are that close to each other. Whole numbers must be equal.
    """
    steps = {bound.name: version.model.steps.get(bound.tensor.index, 0.0) for bound in version.binding.outputs}
    scores = version.manifest.outputs.scores if version.manifest.task.kind is TaskKind.CLASSIFY else None
    for name, expected in golden.outputs.items():
        if name not in found:
            raise ModelInvalid(f"{GOLDEN}: has output {name!r}; the version has {', '.join(sorted(found))}")
        came = found[name]
        if came.shape != expected.shape:
            raise GoldenMismatch(f"golden: output {name!r} is {list(came.shape)}; expected {list(expected.shape)}")
        room = golden.tolerance + golden.tolerance * np.abs(expected.astype(np.float64)) + steps[name]
        if expected.dtype.kind in "iub" and came.dtype.kind in "iub":
            room = np.zeros(expected.shape)
        _check_close(name, came, expected, room)
        if name == scores:
            _check_winner(name, came, expected, room, version.labels)


def _check_close(name: str, came: Array, expected: Array, room: Array) -> None:
    difference = np.abs(came.astype(np.float64) - expected.astype(np.float64))
    same = (came == expected) | (np.isnan(came.astype(np.float64)) & np.isnan(expected.astype(np.float64)))
    wrong = ~(same | (difference <= room))
    if wrong.any():
        at = tuple(int(index) for index in np.argwhere(wrong)[0])
        rows = int(wrong.reshape(len(wrong), -1).any(axis=1).sum())
        raise GoldenMismatch(
            f"golden: row {at[0]}, output {name!r} at {list(at[1:])}: {came[at]:.6g}, expected {expected[at]:.6g} "
            f"within {room[at]:.3g}; {rows} of {len(expected)} rows are off"
        )


def _check_winner(name: str, came: Array, expected: Array, room: Array, labels: tuple[str, ...]) -> None:
    rows = np.arange(len(expected))
    came, expected, room = (array.reshape(len(rows), -1) for array in (came, expected, room))
    winner, golden = came.argmax(axis=1), expected.argmax(axis=1)
    wrong = expected[rows, golden] - expected[rows, winner] > room[rows, golden]
    if wrong.any():
        row = int(np.argmax(wrong))
        first, second = (labels[int(index)] for index in (winner[row], golden[row]))
        raise GoldenMismatch(f"golden: row {row}, output {name!r}: the class is {first!r}, expected {second!r}")


def _keys(canonical: Canonical) -> tuple[str, ...]:
    key = _INPUTS + canonical.name
    return (key, key + _OFFSETS) if canonical.encoded else (key,)


def _check_input(canonical: Canonical, array: Array, source: str) -> None:
    dtype = DTYPES.get(canonical.datatype)
    shape = array.shape[1:]
    fits = len(shape) == len(canonical.shape) and all(
        size in (own, -1) for own, size in zip(shape, canonical.shape, strict=True)
    )
    if array.ndim == 0 or not fits or (dtype is not None and array.dtype != dtype):
        raise ModelInvalid(
            f"{source}: input {canonical.name!r} is {array.dtype} {list(array.shape)}; expected {dtype} "
            f"{['rows', *canonical.shape]}"
        )


def _images(arrays: Mapping[str, Array], key: str, source: str) -> Array:
    data, offsets = arrays[key], arrays.get(key + _OFFSETS)
    if offsets is None or data.dtype != np.uint8 or data.ndim != 1 or offsets.dtype != np.int64 or offsets.ndim != 1:
        raise ModelInvalid(f"{source}: expected {key!r} as uint8 [bytes] with {key + _OFFSETS!r} as int64 [rows + 1]")
    edges = offsets.tolist()
    if not edges or edges[0] != 0 or edges[-1] != len(data) or edges != sorted(edges):
        raise ModelInvalid(f"{source}: {key + _OFFSETS!r} must grow from 0 to {len(data)}")
    images = np.empty(len(edges) - 1, object)
    images[:] = [data[start:stop].tobytes() for start, stop in pairwise(edges)]
    return images
