"""Which questions tune and which certify: decided by hashes, so that it can be done again and nobody chooses. Pure.

Rows are told apart by their number and not by their content: the certifying ones must be drawn as questions come, and a
question that comes often must be able to be on both sides.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def by_number(rows: int, seed: int, tune_share: float) -> tuple[Rows, Rows]:
    """The rows to tune on and the others, both in order: of `rows`, the `tune_share` with the lowest hashes tune."""
    order = np.argsort([_hash(f"{seed}:{row}") for row in range(rows)], kind="stable").astype(np.intp)
    return _cut(order, tune_share)


def by_name(names: Sequence[str], seed: int, tune_share: float) -> tuple[Rows, Rows]:
    """The same for questions with names: each is on the same side whenever and with whatever others it comes."""
    places = np.array([_hash(f"{seed}:{name}") for name in names], dtype=np.float64) / 2.0**64
    tunes = places < tune_share
    return np.flatnonzero(tunes), np.flatnonzero(~tunes)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _cut(order: Rows, tune_share: float) -> tuple[Rows, Rows]:
    count = round(len(order) * tune_share)
    return np.sort(order[:count]), np.sort(order[count:])
