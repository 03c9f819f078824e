"""Signs of change that need no labels: how confidences are spread, and how often questions go up.

They can't tell harm from harmless change, so they warn and never decide: a warning has more questions audited.

Sources: two-sample Kolmogorov-Smirnov test, asymptotic quantile (Smirnov 1948); ADWIN2 (Bifet and Gavaldà 2007).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

REFERENCE: Final = 512
WINDOW: Final = 256
KS_LEVEL: Final = 1e-3
"""Of each comparison, one every WINDOW scores."""


@dataclass(frozen=True, slots=True)
class ScoreDrift:
    """Compares the confidences of late with the first ones, which are those that came after the pair was activated.

    `reference` fills up once and is sorted when it has; `window` is what has come since the last comparison; `drifted`
    is its outcome.
    """

    reference: tuple[float, ...] = ()
    window: tuple[float, ...] = ()
    drifted: bool = False

    def look(self, confidence: float) -> "ScoreDrift":
        """After one more confidence."""
        if len(self.reference) < REFERENCE:
            grown = (*self.reference, confidence)
            return replace(self, reference=tuple(sorted(grown)) if len(grown) == REFERENCE else grown)
        window = (*self.window, confidence)
        if len(window) < WINDOW:
            return replace(self, window=window)
        return replace(self, window=(), drifted=differ(self.reference, sorted(window), KS_LEVEL))


def differ(first: Sequence[float], second: Sequence[float], level: float) -> bool:
    """Whether two sorted samples are of different distributions; wrong with a probability of `level` at most."""
    n, m = len(first), len(second)
    distance = max(abs(bisect_right(first, x) / n - bisect_right(second, x) / m) for x in (*first, *second))
    return distance > math.sqrt(-math.log(level / 2) / 2 * (n + m) / (n * m))


class Adwin:
    """A window over zeros and ones that drops its older part when that had another mean than the newer.

    Buckets hold 2^row elements each, MOST_BUCKETS of a row at most, so the window of n elements takes O(log n) numbers.
    """

    LEVEL: Final = 1e-3
    EVERY: Final = 32
    MOST_BUCKETS: Final = 5
    MOST_ROWS: Final = 20
    """Of the largest window, about five million elements; the oldest go when it is full."""

    def __init__(self, rows: Sequence[Sequence[int]] = ()) -> None:
        """`rows` is what `rows` gave of another one: the sum of every bucket, oldest first in each row."""
        self._rows = [list(row) for row in rows] or [[]]
        self._since = 0

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The whole state: each row's bucket sums."""
        return tuple(tuple(row) for row in self._rows)

    @property
    def size(self) -> int:
        """Elements in the window."""
        return sum(len(row) << index for index, row in enumerate(self._rows))

    @property
    def mean(self) -> float:
        """Their mean, 0.0 when there are none."""
        return sum(map(sum, self._rows)) / max(1, self.size)

    def look(self, happened: bool) -> bool:
        """Takes one more element; True when the window was cut because the mean has changed."""
        self._rows[0].append(int(happened))
        self._compress()
        self._since += 1
        if self._since < self.EVERY:
            return False
        self._since = 0
        cut = False
        while self._changed():
            self._drop_oldest()
            cut = True
        return cut

    def _compress(self) -> None:
        for index, row in enumerate(self._rows):
            if len(row) <= self.MOST_BUCKETS:
                return
            merged = row.pop(0) + row.pop(0)
            if index + 1 == self.MOST_ROWS:
                return
            if index + 1 == len(self._rows):
                self._rows.append([])
            self._rows[index + 1].append(merged)

    def _drop_oldest(self) -> None:
        self._rows[-1].pop(0)
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()

    def _changed(self) -> bool:
        """Whether some split of the window has means that differ by more than chance makes them."""
        total, ones = self.size, sum(map(sum, self._rows))
        if total < 2 * self.EVERY:
            return False
        mean = ones / total
        log = math.log(2 * math.log(total) / self.LEVEL)
        older, older_ones = 0, 0
        for index in range(len(self._rows) - 1, -1, -1):
            for bucket in self._rows[index]:
                older += 1 << index
                older_ones += bucket
                newer = total - older
                if newer < self.EVERY:
                    return False
                if older < self.EVERY:
                    continue
                inverse = 1 / older + 1 / newer  # 1/m of the paper
                bound = math.sqrt(2 * inverse * mean * (1 - mean) * log) + 2 / 3 * inverse * log
                if abs(older_ones / older - (ones - older_ones) / newer) > bound:
                    return True
        return False
