"""Tensors of the Open Inference Protocol as NumPy arrays: data types, raw and typed contents.

Raw contents are little-endian and row-major; BYTES raw is a 4-byte little-endian length before each element.
Numeric arrays made from raw bytes are views of them (no copy, not writable).
"""

import math
import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput

Array = NDArray[Any]
_LENGTH = struct.Struct("<I")
_MAX_ELEMENTS = 1 << 40


class Datatype(StrEnum):
    """The protocol's data types."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"


DTYPES: dict[str, np.dtype[Any]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.UINT8: np.dtype("u1"),
    Datatype.UINT16: np.dtype("<u2"),
    Datatype.UINT32: np.dtype("<u4"),
    Datatype.UINT64: np.dtype("<u8"),
    Datatype.INT8: np.dtype("i1"),
    Datatype.INT16: np.dtype("<i2"),
    Datatype.INT32: np.dtype("<i4"),
    Datatype.INT64: np.dtype("<i8"),
    Datatype.FP16: np.dtype("<f2"),
    Datatype.FP32: np.dtype("<f4"),
    Datatype.FP64: np.dtype("<f8"),
}
"""NumPy types of the numeric data types. BF16 has none (it is widened to FP32); BYTES are object arrays."""

CONTENTS_FIELDS: dict[str, str] = {
    Datatype.BOOL: "bool_contents",
    Datatype.INT8: "int_contents",
    Datatype.INT16: "int_contents",
    Datatype.INT32: "int_contents",
    Datatype.INT64: "int64_contents",
    Datatype.UINT8: "uint_contents",
    Datatype.UINT16: "uint_contents",
    Datatype.UINT32: "uint_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}
"""The field of InferTensorContents that carries a data type; FP16 and BF16 travel raw only."""

_FIELD_DTYPES: dict[str, np.dtype[Any]] = {
    "bool_contents": np.dtype(np.bool_),
    "int_contents": np.dtype("i4"),
    "int64_contents": np.dtype("i8"),
    "uint_contents": np.dtype("u4"),
    "uint64_contents": np.dtype("u8"),
    "fp32_contents": np.dtype("f4"),
    "fp64_contents": np.dtype("f8"),
}
"""What the fields hold. Without being told, NumPy would take large and small uint64 together for floats."""

_BY_DTYPE = {dtype: name for name, dtype in DTYPES.items()}


class Tensor(NamedTuple):
    """A named array with its protocol data type. BYTES and strings are object arrays of `bytes`."""

    name: str
    datatype: str
    array: Array


def datatype_of(array: Array) -> str:
    """Gives the protocol data type of an array; raises InvalidInput when it has none."""
    if array.dtype.kind in "OSU":
        return Datatype.BYTES
    found = _BY_DTYPE.get(array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype)
    if found is None:
        allowed = ", ".join(DTYPES)
        raise InvalidInput(f"arrays of {array.dtype} have no protocol data type; allowed: {allowed}, BYTES")
    return found


def element_count(name: str, shape: Sequence[int]) -> int:
    """Gives the number of elements of a shape; raises InvalidInput for a negative or absurd one."""
    for size in shape:
        if size < 0:
            raise InvalidInput(f"input {name!r}: shape {list(shape)} has a negative size")
    count = math.prod(shape)
    if count > _MAX_ELEMENTS:
        raise InvalidInput(f"input {name!r}: shape {list(shape)} has too many elements")
    return count


def decode_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> Array:
    """Makes an array of `shape` from raw contents; raises InvalidInput when the bytes do not fit."""
    dtype = DTYPES.get(datatype)
    if dtype is not None and len(raw) == math.prod(shape) * dtype.itemsize and raw:
        try:
            return np.frombuffer(raw, dtype).reshape(shape)
        except ValueError:  # two negative sizes: told below
            pass
    count = element_count(name, shape)
    if dtype is not None:
        if len(raw) != count * dtype.itemsize:
            raise InvalidInput(
                f"input {name!r}: {datatype} of shape {list(shape)} takes {count * dtype.itemsize} bytes,"
                f" got {len(raw)}"
            )
        return np.frombuffer(raw, dtype).reshape(shape)
    if datatype == Datatype.BYTES:
        return _decode_bytes(name, count, raw).reshape(shape)
    if datatype == Datatype.BF16:
        if len(raw) != count * 2:
            raise InvalidInput(f"input {name!r}: BF16 of shape {list(shape)} takes {count * 2} bytes, got {len(raw)}")
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    raise InvalidInput(f"input {name!r}: unknown datatype {datatype!r}; allowed: {', '.join(Datatype)}")


def _decode_bytes(name: str, count: int, raw: bytes) -> Array:
    if count * _LENGTH.size > len(raw):
        raise InvalidInput(f"input {name!r}: {count} BYTES elements take at least {count * 4} bytes, got {len(raw)}")
    items = np.empty(count, object)
    at = 0
    for index in range(count):
        if at + 4 > len(raw):
            raise InvalidInput(f"input {name!r}: BYTES element {index} of {count} has no length; data ended at {at}")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += 4
        if at + length > len(raw):
            raise InvalidInput(f"input {name!r}: BYTES element {index} claims {length} bytes, {len(raw) - at} are left")
        items[index] = raw[at : at + length]
        at += length
    if at != len(raw):
        raise InvalidInput(f"input {name!r}: {len(raw) - at} bytes left over after {count} BYTES elements")
    return items


def decode_typed(name: str, datatype: str, shape: Sequence[int], contents: Any) -> Array:
    """Makes an array of `shape` from an InferTensorContents-like message."""
    count = element_count(name, shape)
    field = CONTENTS_FIELDS.get(datatype)
    if field is None:
        if datatype in (Datatype.FP16, Datatype.BF16):
            raise InvalidInput(f"input {name!r}: {datatype} travels in raw_input_contents only")
        raise InvalidInput(f"input {name!r}: unknown datatype {datatype!r}; allowed: {', '.join(Datatype)}")
    values = getattr(contents, field)
    if len(values) != count:
        raise InvalidInput(
            f"input {name!r}: {datatype} of shape {list(shape)} takes {count} elements in {field}, got {len(values)}"
        )
    if datatype == Datatype.BYTES:
        items = np.empty(count, object)
        items[:] = list(values)
        return items.reshape(shape)
    wide = np.array(values, _FIELD_DTYPES[field])
    dtype = DTYPES[datatype]
    if wide.dtype != dtype:
        if dtype.kind in "iu" and count:
            limits = np.iinfo(dtype)
            if int(wide.min()) < limits.min or int(wide.max()) > limits.max:
                raise InvalidInput(f"input {name!r}: a value is outside {datatype} [{limits.min}, {limits.max}]")
        wide = wide.astype(dtype)
    return wide.reshape(shape)


def encode_raw(array: Array, datatype: str) -> bytes:
    """Gives an array's raw contents as the protocol has them."""
    if datatype == Datatype.BYTES:
        parts: list[bytes] = []
        for item in array.reshape(-1).tolist():
            data = item if isinstance(item, bytes) else str(item).encode()
            parts.append(_LENGTH.pack(len(data)))
            parts.append(data)
        return b"".join(parts)
    if datatype == Datatype.BF16:
        return (np.ascontiguousarray(array, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    dtype = DTYPES[datatype]
    return (array if array.dtype == dtype else array.astype(dtype)).tobytes()
