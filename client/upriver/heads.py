"""A head: the last layer of a classifier, learnt after the version was made, on the version's own embedding.

logits = [embedding, 1] · weights, for the labels that the head knows: those of its version and any that it has learnt
besides. Weights lie on a grid, whole numbers of 16 bits times a power of two, so that a head has one written form and
one digest, and so that what changes from one head to the next can be told in a few hundred bytes, to the bit.

A head's file is a line `upriver-head 1`, a line of JSON (keys sorted, no spaces, ASCII) and the grid, row by row,
little-endian. A delta is a line `upriver-head-delta 1`, a line of JSON and the differences, compressed.
"""

import json
import math
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import ModelInvalid
from upriver.listing import digest as digest_of
from upriver.listing import is_digest

MAX_EMBEDDING: Final = 512
"""Numbers in an embedding that heads are learnt on."""
MAX_LABELS: Final = 1024
MAX_BYTES: Final = 4 << 20
_MAX_LABEL: Final = 200
MAGIC: Final = b"upriver-head 1"
DELTA_MAGIC: Final = b"upriver-head-delta 1"
"""The first line of a delta, and above that of a head."""
_EXPONENTS: Final = range(-40, 21)
_LARGEST: Final = np.iinfo(np.int16).max
_COARSEST: Final = 12
"""Bits that a delta leaves out at most."""
_ROOM: Final = 2
"""Bits by which weights may grow from one head to the next and stay on the grid."""

Grid = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Head:
    """One head. `grid` is [embedding + 1, labels], its last row the bias; a weight is grid · 2^exponent."""

    version_digest: str
    labels: tuple[str, ...]
    exponent: int
    grid: Grid

    @property
    def width(self) -> int:
        """How many numbers its embedding has."""
        return len(self.grid) - 1

    def weights(self) -> NDArray[np.float32]:
        """The weights, [embedding + 1, labels]; exact."""
        weights: NDArray[np.float32] = np.ldexp(self.grid.astype(np.float32), self.exponent)
        return weights


def head_of(version_digest: str, labels: tuple[str, ...], weights: NDArray[Any]) -> Head:
    """The head whose weights come closest to finite `weights`, [embedding + 1, labels]."""
    largest = float(np.abs(weights).max(initial=0.0))
    exponent = math.ceil(math.log2(largest / _LARGEST)) + _ROOM if largest > 0.0 else _EXPONENTS.start
    exponent = min(max(exponent, _EXPONENTS.start), _EXPONENTS.stop - 1)
    return Head(version_digest, labels, exponent, _on_grid(weights, exponent))


def logits(weights: NDArray[np.float32], embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a head's weights make of embeddings [rows, embedding]: [rows, labels]."""
    found: NDArray[np.float32] = embedding @ weights[:-1] + weights[-1]
    return found


def write_head(head: Head) -> bytes:
    """The head's file; raises ModelInvalid when it is not valid."""
    problems = _problems(head)
    if problems:
        raise ModelInvalid(f"head: {'; '.join(problems)}")
    fields = {
        "embedding": head.width,
        "exponent": head.exponent,
        "labels": list(head.labels),
        "version_digest": head.version_digest,
    }
    return MAGIC + b"\n" + _json(fields) + b"\n" + head.grid.astype("<i2").tobytes()


def read_head(data: bytes) -> Head:
    """Reads a head's file; raises ModelInvalid unless it is exactly as one is written."""
    fields, rest = _opened(data, MAGIC, "a head")
    try:
        labels, width = tuple(fields["labels"]), fields["embedding"]
        if not isinstance(width, int) or len(rest) != 2 * (width + 1) * len(labels):
            raise ValueError(f"{len(rest)} bytes of weights: expected 2 * (embedding + 1) * labels")
        grid = np.frombuffer(rest, "<i2").astype(np.int16).reshape(width + 1, len(labels))
        head = Head(fields["version_digest"], labels, fields["exponent"], grid)
        written = write_head(head)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelInvalid(f"not a head: {error}") from error
    if written != data:
        raise ModelInvalid("not a head: not written canonically")
    return head


def write_delta(old: Head, new: Head) -> bytes | None:
    """What makes the new head's file of the old one's; None when the two are too different for one.

    They must be of the same version and grid, and the new one's labels begin with the old one's.
    """
    if old.version_digest != new.version_digest or old.exponent != new.exponent or old.width != new.width:
        return None
    if new.labels[: len(old.labels)] != old.labels:
        return None
    change = new.grid.astype(np.int32)
    change[:, : len(old.labels)] -= old.grid
    step = int(np.gcd.reduce(np.abs(change), axis=None)) or 1
    fields = {
        "digest": digest_of(write_head(new)),
        "from": digest_of(write_head(old)),
        "labels": list(new.labels[len(old.labels) :]),
        "step": step,
    }
    return DELTA_MAGIC + b"\n" + _json(fields) + b"\n" + _packed(change // step)


def apply_delta(old: Head, delta: bytes) -> Head:
    """The head that a delta makes of the old one; raises ModelInvalid when it is not the one that it should be."""
    fields, rest = _opened(delta, DELTA_MAGIC, "a head's delta")
    if fields.get("from") != digest_of(write_head(old)):
        raise ModelInvalid(f"the delta is from head {fields.get('from')!r}, which is not the one that is here")
    try:
        labels, step = (*old.labels, *fields["labels"]), fields["step"]
        if len(labels) > MAX_LABELS:  # before anything is unpacked: whoever sends it may have signed nothing
            raise ValueError(f"{len(labels)} labels: expected at most {MAX_LABELS}")
        if type(step) is not int or not 0 < step <= 2 * _LARGEST:
            raise ValueError(f"step = {step!r}: expected 1 to {2 * _LARGEST}")
        change = _unpacked(rest, (old.width + 1) * len(labels)).reshape(old.width + 1, len(labels)) * step
        change[:, : len(old.labels)] += old.grid
        if np.abs(change).max(initial=0) > _LARGEST:
            raise ValueError("weights beyond the grid")
        head = Head(old.version_digest, labels, old.exponent, change.astype(np.int16))
        written = write_head(head)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelInvalid(f"not a head's delta: {error}") from error
    if digest_of(written) != fields.get("digest"):
        raise ModelInvalid("the delta does not make the head that it names")
    return head


def closest_within(old: Head, labels: tuple[str, ...], weights: NDArray[Any], most_bytes: int) -> Head:
    """The head on the old one's grid that comes closest to `weights` and whose delta from it has at most `most_bytes`.

    `labels` begin with the old one's. Where even the coarsest change is larger, that is what is given.
    """
    target = _on_grid(weights, old.exponent).astype(np.int64)
    base = np.zeros_like(target)
    base[:, : len(old.labels)] = old.grid
    head = old
    for bits in range(_COARSEST + 1):
        step = 1 << bits
        change = np.rint((target - base) / step).astype(np.int64) * step
        grid = np.clip(base + change, -_LARGEST, _LARGEST).astype(np.int16)
        head = Head(old.version_digest, labels, old.exponent, grid)
        delta = write_delta(old, head)
        if delta is not None and len(delta) <= most_bytes:
            break
    return head


def _on_grid(weights: NDArray[Any], exponent: int) -> Grid:
    scaled = np.rint(np.ldexp(weights.astype(np.float64), -exponent))
    return np.clip(scaled, -_LARGEST, _LARGEST).astype(np.int16)


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _opened(data: bytes, magic: bytes, what: str) -> tuple[dict[str, Any], bytes]:
    """The JSON of a file and what comes after it."""
    first, _, rest = data[:MAX_BYTES].partition(b"\n")
    line, _, body = rest.partition(b"\n")
    if first != magic or len(data) > MAX_BYTES:
        raise ModelInvalid(f"not {what}: it begins with {data[:24]!r}")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ModelInvalid(f"not {what}: {error}") from error
    if not isinstance(fields, dict):
        raise ModelInvalid(f"not {what}: its second line is no JSON object")
    return fields, body


def _packed(change: NDArray[np.int32]) -> bytes:
    """Whole numbers, compressed: as bytes where they fit, else as four; whichever order of rows and columns is less."""
    small = np.abs(change).max(initial=0) <= 127
    flat = np.ascontiguousarray(change.astype("<i1" if small else "<i4")).tobytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY)
    plain = packer.compress(flat) + packer.flush()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    alone = packer.compress(flat) + packer.flush()
    return (b"1" if small else b"4") + min(plain, alone, key=len)


def _unpacked(data: bytes, count: int) -> NDArray[np.int64]:
    size = {b"1": 1, b"4": 4}.get(data[:1])
    if size is None:
        raise ValueError("differences of no known kind")
    opener = zlib.decompressobj(-15)
    try:
        flat = opener.decompress(data[1:], size * count + 1)
    except zlib.error as error:
        raise ValueError(f"differences can't be unpacked: {error}") from error
    if len(flat) != size * count or not opener.eof or opener.unused_data:
        raise ValueError(f"{len(flat)} bytes of differences: expected {size * count}")
    return np.frombuffer(flat, f"<i{size}").astype(np.int64)


def _problems(head: Head) -> list[str]:
    problems = []
    if not is_digest(head.version_digest):
        problems.append(f"version_digest = {head.version_digest!r}: expected sha256: and 64 digits")
    if not all(isinstance(label, str) and 0 < len(label) <= _MAX_LABEL for label in head.labels):
        problems.append(f"labels: expected texts of 1 to {_MAX_LABEL} characters")
    if not 1 <= len(head.labels) <= MAX_LABELS or len(set(head.labels)) != len(head.labels):
        problems.append(f"{len(head.labels)} labels: expected 1 to {MAX_LABELS}, each once")
    if type(head.exponent) is not int or head.exponent not in _EXPONENTS:
        problems.append(f"exponent = {head.exponent!r}: expected {_EXPONENTS.start} to {_EXPONENTS.stop - 1}")
    if head.grid.dtype != np.int16 or head.grid.ndim != 2 or head.grid.shape[1] != len(head.labels):
        problems.append(f"weights {head.grid.dtype} {list(head.grid.shape)}: expected int16 [embedding + 1, labels]")
    elif not 1 <= head.width <= MAX_EMBEDDING:
        problems.append(f"an embedding of {head.width}: expected 1 to {MAX_EMBEDDING}")
    elif (head.grid == np.iinfo(np.int16).min).any():
        problems.append(f"weights: expected -{_LARGEST} to {_LARGEST} on the grid")
    return problems
