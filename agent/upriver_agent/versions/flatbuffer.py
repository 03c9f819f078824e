"""Reading FlatBuffers tables safely: every offset is checked before it is followed.

A .tflite file comes from outside, so a wrong offset in it must end in ModelInvalid and not in a crash, a wild read or
a loop. The generated readers of the FlatBuffers package check nothing and are not there with every runtime; the few
tables needed here are read by field number instead. Format: https://flatbuffers.dev/internals/.
"""

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import ModelInvalid

_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_I32: Final = struct.Struct("<i")
SCALARS: Final = {
    "bool": struct.Struct("<?"),
    "int8": struct.Struct("<b"),
    "uint8": struct.Struct("<B"),
    "int32": _I32,
    "uint32": _U32,
    "uint64": struct.Struct("<Q"),
}
_MAX_ELEMENTS: Final = 250_000
"""List elements that are followed in one buffer: lists may share what they point to, so its size bounds nothing."""
_MAX_TEXT: Final = 65_536


class _Budget:
    """How many more list elements may be followed."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _MAX_ELEMENTS

    def spend(self, count: int) -> None:
        """Takes `count` elements off; raises ModelInvalid when there are not that many left."""
        self.left -= count
        if self.left < 0:
            raise ModelInvalid(f"broken flatbuffer: its lists have more than {_MAX_ELEMENTS} elements")


class Cursor:
    """A table inside a buffer. Fields are numbered as in the schema; an absent field gives its default."""

    __slots__ = ("_at", "_budget", "_data", "_fields", "_vtable")

    def __init__(self, data: memoryview, at: int, budget: "_Budget") -> None:
        self._budget = budget
        self._data = data
        self._at = at
        self._vtable = at - _read(data, _I32, at)
        length = _read(data, _U16, self._vtable)
        if length < 4 or length % 2:
            raise ModelInvalid(f"broken flatbuffer: a table at byte {at} has a field list of {length} bytes")
        self._fields = (length - 4) // 2
        _bounds(data, self._vtable, length)

    def _field(self, number: int) -> int | None:
        if number >= self._fields:
            return None
        offset = _read(self._data, _U16, self._vtable + 4 + 2 * number)
        return self._at + offset if offset else None

    def _target(self, number: int) -> int | None:
        at = self._field(number)
        return None if at is None else at + _read(self._data, _U32, at)

    def scalar(self, number: int, kind: str, default: int = 0) -> int:
        """Reads a scalar field; `kind` is one of SCALARS."""
        at = self._field(number)
        return default if at is None else _read(self._data, SCALARS[kind], at)

    def text(self, number: int) -> str:
        """Reads a string field; bytes that are not UTF-8 are shown as replacement characters."""
        at = self._target(number)
        return "" if at is None else _text(self._data, at)

    def table(self, number: int) -> "Cursor | None":
        """Follows a field that refers to one table."""
        at = self._target(number)
        return None if at is None else Cursor(self._data, at, self._budget)

    def numbers(self, number: int, dtype: str, most: int) -> NDArray[np.generic] | None:
        """Reads a vector of at most `most` numbers; None when the field is absent."""
        at = self._target(number)
        if at is None:
            return None
        item = np.dtype(dtype)
        count = _read(self._data, _U32, at)
        if count > most:
            raise ModelInvalid(f"broken flatbuffer: {count} numbers where there may be {most}")
        _bounds(self._data, at + 4, count * item.itemsize)
        return np.frombuffer(self._data, item, count, at + 4)

    def octets(self, number: int) -> memoryview:
        """Reads a vector of bytes without copying it; empty when the field is absent."""
        at = self._target(number)
        if at is None:
            return self._data[:0]
        count = _read(self._data, _U32, at)
        _bounds(self._data, at + 4, count)
        return self._data[at + 4 : at + 4 + count]

    def _elements(self, number: int) -> Iterator[int]:
        at = self._target(number)
        if at is None:
            return
        count = _read(self._data, _U32, at)
        self._budget.spend(count)
        _bounds(self._data, at + 4, 4 * count)
        for index in range(count):
            where = at + 4 + 4 * index
            yield where + _read(self._data, _U32, where)

    def tables(self, number: int) -> "list[Cursor]":
        """Reads a list of tables."""
        return [Cursor(self._data, at, self._budget) for at in self._elements(number)]

    def texts(self, number: int) -> list[str]:
        """Reads a list of strings."""
        return [_text(self._data, at) for at in self._elements(number)]


def root(data: memoryview, identifier: bytes) -> Cursor:
    """Opens a buffer's root table; raises ModelInvalid unless it carries the 4-byte file identifier."""
    if len(data) < 8:
        raise ModelInvalid(f"not a {identifier.decode()} flatbuffer: only {len(data)} bytes")
    if bytes(data[4:8]) != identifier:
        raise ModelInvalid(
            f"not a {identifier.decode()} flatbuffer: bytes 4 to 8 are {bytes(data[4:8])!r}, expected {identifier!r}"
        )
    return Cursor(data, _read(data, _U32, 0), _Budget())


def _bounds(data: memoryview, at: int, length: int) -> None:
    if at < 0 or at + length > len(data):
        raise ModelInvalid(
            f"broken flatbuffer: bytes {at} to {at + length} are referred to, but there are {len(data)} (truncated?)"
        )


def _read(data: memoryview, kind: struct.Struct, at: int) -> int:
    _bounds(data, at, kind.size)
    (value,) = kind.unpack_from(data, at)
    return int(value)


def _text(data: memoryview, at: int) -> str:
    length = _read(data, _U32, at)
    if length > _MAX_TEXT:
        raise ModelInvalid(f"broken flatbuffer: a text of {length} bytes where there may be {_MAX_TEXT}")
    _bounds(data, at + 4, length)
    return bytes(data[at + 4 : at + 4 + length]).decode("utf-8", "replace")
