"""What a head is learnt from, as sums over lessons: they are merged by adding, and forgotten by subtracting.

Of each lesson with the embedding h, to which a 1 is appended, and the target y (a share of each label, sum 1):

    outer  = Σ h hᵀ        [embedding + 1, embedding + 1]
    toward = Σ h yᵀ        [embedding + 1, labels]

The last row of both has the sums of h and y themselves, so `outer[-1, -1]` is how many lessons there are. Whoever adds
up the sums of several places has what one place would have that had seen all lessons, up to rounding.

Source: recursive least squares in its additive form; analytic federated learning (AFL, arXiv 2405.16240).
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import ModelInvalid
from upriver.heads import MAX_EMBEDDING, MAX_LABELS
from upriver.scores import Floats

HARD_SHARE: Final = 0.7
"""Of a lesson's target so much is its label; the rest are the teacher's probabilities."""
LEAST_SHARE: Final = 0.01
"""Of a teacher's probabilities smaller ones go to the lesson's own label."""


@dataclass(slots=True)
class HeadStatistics:
    """Sums over lessons; see the module. `labels` name the columns of `toward`. Changed in place by `add`."""

    labels: tuple[str, ...]
    outer: Floats
    toward: Floats

    @property
    def width(self) -> int:
        """How many numbers an embedding has."""
        return len(self.outer) - 1

    @property
    def lessons(self) -> float:
        """How many lessons they are of; less when older ones count less."""
        return float(self.outer[-1, -1])

    def add(self, embedding: NDArray[Any], target: Floats, weight: float = 1.0) -> None:
        """Takes in a lesson: an embedding [embedding] and its target [labels]. A weight of -1 takes it out again."""
        h = np.append(embedding.astype(np.float64), 1.0)
        self.outer += (weight * h)[:, np.newaxis] * h
        self.toward += (weight * h)[:, np.newaxis] * target

    def fade(self, share: float) -> None:
        """Has all that was taken in count less, by a factor in (0, 1]."""
        self.outer *= share
        self.toward *= share

    def copy(self) -> "HeadStatistics":
        """The same, apart."""
        return HeadStatistics(self.labels, self.outer.copy(), self.toward.copy())

    def widened(self, labels: Sequence[str]) -> "HeadStatistics":
        """The same with columns for further labels, apart."""
        added = [label for label in labels if label not in self.labels]
        columns = np.zeros((len(self.outer), len(added)))
        return HeadStatistics((*self.labels, *added), self.outer.copy(), np.hstack([self.toward, columns]))


def nothing(width: int, labels: Sequence[str] = ()) -> HeadStatistics:
    """The sums over no lessons."""
    size = width + 1
    return HeadStatistics(tuple(labels), np.zeros((size, size)), np.zeros((size, len(labels))))


def merged(parts: Iterable[HeadStatistics]) -> HeadStatistics:
    """The sums over the lessons of all parts, which have the same width; labels in the order in which they first come.

    Raises ValueError when there is no part or widths differ.
    """
    total: HeadStatistics | None = None
    for part in parts:
        if total is None:
            total = part.copy()
            continue
        if part.width != total.width:
            raise ValueError(f"an embedding of {part.width}: expected {total.width}")
        if not set(part.labels) <= set(total.labels):
            total = total.widened(part.labels)
        total.outer += part.outer
        total.toward[:, [total.labels.index(label) for label in part.labels]] += part.toward
    if total is None:
        raise ValueError("nothing to merge")
    return total


def shares_of(label: str, teacher: Mapping[str, float], own: Collection[str]) -> dict[str, float]:
    """A lesson's target by label, sum 1: HARD_SHARE of it on the lesson's, the rest as the teacher's probabilities have
    it, as far as they are of the version's `own` labels; what it gives to others goes to the lesson's too.

    Others are known by their own lessons alone: without those, what many lessons of one label give them in passing
    would be a label that nobody taught, with just that one's mean. It depends on the lesson and on what is known of its
    version, not on what else is there, so sums are the same in whatever order they are made. Where a version does not
    answer its `own` labels are not known, and a lesson's label is all of its target.
    """
    told = {name: share for name, share in teacher.items() if share >= LEAST_SHARE and name in own}
    total = max(1.0, sum(told.values()))
    shares = {name: (1.0 - HARD_SHARE) * share / total for name, share in told.items()}
    shares[label] = shares.get(label, 0.0) + 1.0 - sum(shares.values())
    return shares


def target_of(labels: Sequence[str], shares: Mapping[str, float]) -> Floats:
    """A lesson's target [labels] of its shares, all of which are of labels among these."""
    target = np.zeros(len(labels))
    for name, share in shares.items():
        target[labels.index(name)] = share
    return target


def write_statistics(statistics: HeadStatistics) -> dict[str, NDArray[Any]]:
    """As arrays to be kept or sent: `labels` (texts), `outer` (its lower triangle, row by row) and `toward`."""
    lower = np.tril_indices(len(statistics.outer))
    return {
        "labels": np.array(statistics.labels, np.str_) if statistics.labels else np.zeros(0, "<U1"),
        "outer": statistics.outer[lower],
        "toward": statistics.toward,
    }


def read_statistics(arrays: dict[str, NDArray[Any]]) -> HeadStatistics:
    """Reads what was written; raises ModelInvalid naming what is wrong."""
    try:
        labels = tuple(str(label) for label in arrays["labels"].tolist())
        lower, toward = np.asarray(arrays["outer"], np.float64), np.asarray(arrays["toward"], np.float64)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelInvalid(f"statistics: no arrays labels, outer and toward of numbers: {error}") from error
    size = (math.isqrt(8 * lower.size + 1) - 1) // 2
    if lower.ndim != 1 or size * (size + 1) // 2 != lower.size or not 2 <= size <= MAX_EMBEDDING + 1:
        raise ModelInvalid(f"statistics: outer {list(lower.shape)}: expected the triangle of 2 to {MAX_EMBEDDING + 1}")
    if toward.shape != (size, len(labels)):
        raise ModelInvalid(f"statistics: toward {list(toward.shape)}: expected {[size, len(labels)]}")
    if len(labels) > MAX_LABELS or len(set(labels)) != len(labels):
        raise ModelInvalid(f"statistics: {len(labels)} labels: expected at most {MAX_LABELS}, each once")
    if not np.isfinite(lower).all() or not np.isfinite(toward).all():
        raise ModelInvalid("statistics: expected finite numbers")
    outer = np.zeros((size, size))
    outer[np.tril_indices(size)] = lower
    return HeadStatistics(labels, outer + np.tril(outer, -1).T, toward)
