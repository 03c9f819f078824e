"""The coin that says which questions are audited: a number per question, and a hash of it per row.

A question's number is in its id, so whoever knows the id can toss again and gets the same. Nothing about the content
goes in. A row is audited iff its draw, uniform in [0, 2^64), is below the rate times 2^64: what a lower rate audits,
a higher one audits too.

Source of the mix: SplitMix64 (Steele, Lea, Flood 2014).
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

SPAN: Final = 1 << 64
_MASK: Final = SPAN - 1
_STEP: Final = 0x9E3779B97F4A7C15
_ROW_STEP: Final = 0xD1B54A32D192ED03
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB
_OWN_ID: Final = re.compile(r"q-([0-9a-f]{16})-[0-9a-f]{16}")


def numbers(seed: int) -> "count[int]":
    """Gives questions their numbers, to be taken modulo 2^64; taking the next one is atomic in CPython.

    `seed` is chance, 64 bits, new for every process: numbers do not repeat, however many processes there are.
    """
    return count(seed & _MASK, _STEP)


def draw(number: int) -> int:
    """The draw of a question's first row."""
    z = number & _MASK
    z = ((z ^ (z >> 30)) * _FIRST) & _MASK
    z = ((z ^ (z >> 27)) * _SECOND) & _MASK
    return z ^ (z >> 31)


def draw_of_row(number: int, row: int) -> int:
    """The draw of one of a question's rows, by its number at the touch point; see `draws`."""
    return draw(number + row * _ROW_STEP)


def draws(number: int, rows: Sequence[int]) -> NDArray[np.uint64]:
    """The draws of a question's rows, [rows], by their numbers at the touch point: functions of both numbers alone."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is what is wanted
        z = np.uint64(number & _MASK) + np.array(rows, dtype=np.uint64) * np.uint64(_ROW_STEP)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
        mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def limit(rate: float) -> int:
    """The draw below which a row is audited; raises ValueError unless the rate is from 0 to 1."""
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate {rate}: expected 0 to 1")
    return round(rate * SPAN)


def question_id(number: int, secret: int) -> str:
    """The id of a question; `secret`, 64 bits of chance, keeps anybody from guessing it."""
    return f"q-{number & _MASK:016x}-{secret & _MASK:016x}"


def number_of(question: str) -> int:
    """The number in a question's id; of an id that somebody else made, a hash."""
    own = _OWN_ID.fullmatch(question)
    if own is not None:
        return int(own[1], 16)
    return int.from_bytes(blake2b(question.encode(), digest_size=8).digest(), "big")
