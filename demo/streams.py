"""Two regions that ask about different digits, half of them digits that their devices know. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]

KNOWN: Final = 5
"""The device that learns knows the digits below this one."""
SHOWN: Final = 40_000
"""Of the digits in their order, it was trained on those that it knows among the first so many."""
REGIONS: Final = {"west": (5, 6, 7), "east": (7, 8, 9)}
"""What is asked about in each region besides the digits that devices know."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A region's questions as digits' indices: those that are asked, in order, and others of the same kind."""

    asked: Indices
    aside: Indices


def streams(truth: NDArray[np.int64], new: tuple[int, ...], count: int, seed: int, shown: int = SHOWN) -> Stream:
    """A region's questions: half of them about `new` digits, half about known ones. None comes twice.

    `truth` are all digits' labels. Of the known digits only those from index `shown` on are asked, which the device was
    not trained on. Raises ValueError when there are too few.
    """
    chance = np.random.default_rng(seed)
    old = np.flatnonzero((truth < KNOWN) & (np.arange(len(truth)) >= shown))
    fresh = np.flatnonzero(np.isin(truth, new))
    half = min(len(old), len(fresh))
    if half < count // 2:
        raise ValueError(f"{count} questions: expected at most {2 * half}, each about a digit of its own")
    chance.shuffle(old)
    chance.shuffle(fresh)
    mixed = np.stack([old[:half], fresh[:half]], axis=1).reshape(-1)
    asked = mixed[:count].copy()
    chance.shuffle(asked)
    return Stream(asked, mixed[count:])
