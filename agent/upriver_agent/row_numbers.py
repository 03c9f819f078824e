"""Which rows of the request at the touch point the rows that travel up are, as metadata: a bit for each row."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

import numpy as np

MOST_CHARACTERS: Final = 1024
"""Of 6,144 rows: metadata is small."""


def write_rows(rows: Sequence[int]) -> str:
    """Different row numbers as text; their order is lost."""
    bits = np.zeros(max(rows) + 1, dtype=np.uint8)
    bits[list(rows)] = 1
    return urlsafe_b64encode(np.packbits(bits, bitorder="little").tobytes()).decode().rstrip("=")


def read_rows(text: str) -> tuple[int, ...]:
    """Row numbers, rising; raises ValueError for a text that is none of `write_rows`."""
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters; expected 1 to {MOST_CHARACTERS}")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    rows = tuple(np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")).tolist())
    if not rows or write_rows(rows) != text:
        raise ValueError("not a row of bits")
    return rows
