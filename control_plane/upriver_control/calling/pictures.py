"""An input as a picture, where its type and shape say that it is one: PNG made with zlib alone. Pure.

Gray are [height, width] and [height, width, 1], in colour [height, width, 3], and a long row of numbers is drawn as the
square that it fills, gray or in colour, from 8 x 8 on.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput
from upriver.tensors import Array, Datatype, decode_raw

MAX_PIXELS: Final = 1 << 22
MAX_BYTES: Final = 4 << 20
"""Of an encoded picture that is handed on as it came."""
LEAST_SIDE: Final = 8
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GRAY, _COLOUR = 0, 2


def picture_of(datatype: str, shape: Sequence[int], data: bytes) -> bytes:
    """One row of an input as PNG; empty when it is no picture, too large, or does not fit its shape.

    `shape` is without the row's axis, `data` little endian as `HandedInput` has it: BYTES are one element without its
    length, of which only a PNG is a picture here.
    """
    if datatype == Datatype.BYTES:
        return data if is_png(data) else b""
    sides = _sides(shape)
    if sides is None:
        return b""
    try:
        pixels = decode_raw("picture", datatype, sides, data)
    except InvalidInput:  # it does not fit its shape, and whoever reads it as numbers says so
        return b""
    return png(_as_bytes(pixels))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encodes pixels [height, width, 1 or 3]."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row begins with its filter, which is none
    rows[:, 1:] = pixels.reshape(height, width * channels)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR if channels == 3 else _GRAY, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return _PNG + b"".join(_chunk(kind, content) for kind, content in chunks)


def is_png(data: bytes) -> bool:
    """Whether bytes begin as a PNG does, of a size that is shown."""
    if not data.startswith(_PNG) or data[12:16] != b"IHDR" or not 33 <= len(data) <= MAX_BYTES:
        return False
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return 0 < width * height <= MAX_PIXELS


def _sides(shape: Sequence[int]) -> tuple[int, int, int] | None:
    """The picture's [height, width, channels]; None when it is none."""
    sides = tuple(shape)
    if len(sides) == 1:
        sides = _square(sides[0])
    elif len(sides) == 2:
        sides = (*sides, 1)
    if len(sides) != 3 or sides[2] not in (1, 3) or min(sides) < 1 or sides[0] * sides[1] > MAX_PIXELS:
        return None
    return (sides[0], sides[1], sides[2])


def _square(count: int) -> tuple[int, ...]:
    for channels in (1, 3):
        side = math.isqrt(max(0, count) // channels)
        if side >= LEAST_SIDE and side * side * channels == count:
            return side, side, channels
    return ()


def _as_bytes(pixels: Array) -> NDArray[np.uint8]:
    """Values as 0 to 255: bytes as they are, truths and 0 to 1 as black to white, others from their least to largest.

    What is not a number is black.
    """
    if pixels.dtype == np.uint8:
        return pixels
    values = np.nan_to_num(pixels.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    least, largest = float(values.min()), float(values.max())
    is_float = pixels.dtype.kind == "f"
    if pixels.dtype == np.bool_ or (is_float and least >= 0.0 and largest <= 1.0):
        least, largest = 0.0, 1.0
    elif least >= 0.0 and largest <= 255.0:
        least, largest = 0.0, 255.0
    elif not math.isfinite(largest - least):  # the largest of doubles: their halves are apart by what can be said
        values, least, largest = values / 2, least / 2, largest / 2
    scaled = (values - least) / ((largest - least) or 1.0) * 255.0
    return np.rint(scaled).astype(np.uint8)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
