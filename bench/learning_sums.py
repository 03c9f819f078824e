"""How exact sums over lessons are: merged against learnt in one place, forgotten against never seen; and how large what
changes from one head to the next is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.head_fit import fit, joined
from upriver.head_statistics import HeadStatistics, merged
from upriver.heads import Head, closest_within, head_of, logits, write_delta, write_head
from upriver.listing import digest
from upriver.scores import Floats
from upriver_agent.learning.sums import LessonSums

MOST_BYTES: Final = 1024
"""A head's update is to have at most so many."""
AGENTS: Final = 7


@dataclass(frozen=True, slots=True)
class Sample:
    """Lessons of a version whose own labels are the first `known` of `labels`: embeddings [lessons, width] as journals
    keep them, and the teacher's probabilities, `told` [lessons, labels]."""

    labels: tuple[str, ...]
    known: int
    embedding: NDArray[np.float16]
    told: Floats

    def rows(self) -> NDArray[np.intp]:
        """All of them, in order."""
        return np.arange(len(self.told))

    def sums(self) -> LessonSums:
        """Sums over none of them, as an agent begins."""
        return LessonSums(self.embedding.shape[1], self.labels[: self.known])

    def lesson(self, row: int) -> tuple[int, NDArray[np.float16], str, dict[str, float]]:
        """One as an agent takes it in: its number, embedding, label and the teacher's probabilities."""
        shares = dict(zip(self.labels, self.told[row].tolist(), strict=True))
        return row + 1, self.embedding[row], max(shares, key=shares.__getitem__), shares


def learnt(sample: Sample, rows: NDArray[np.intp]) -> LessonSums:
    """The sums over lessons, taken in one by one, by what an agent does it by."""
    sums = sample.sums()
    for row in rows.tolist():
        sums.add(*sample.lesson(row))
    return sums


def merge_error(sample: Sample, prior: HeadStatistics, seed: int) -> float:
    """How far the weights of agents' merged sums lie from those of one place that saw all lessons, relative.

    Lessons are dealt to AGENTS, in an order of chance, and merged in another.
    """
    chance = np.random.default_rng(seed)
    parts = [learnt(sample, rows).statistics() for rows in np.array_split(chance.permutation(sample.rows()), AGENTS)]
    chance.shuffle(parts)
    return _distance(merged(parts), learnt(sample, sample.rows()).statistics(), prior)


def forget_error(sample: Sample, prior: HeadStatistics, share: float, seed: int) -> float:
    """How far weights lie, relative, from those that never saw a `share` of the lessons, after these were taken out."""
    rows = np.random.default_rng(seed).permutation(sample.rows())
    cut = round(share * len(rows))
    sums = learnt(sample, sample.rows())
    for row in rows[:cut].tolist():
        sums.remove(*sample.lesson(row))
    return _distance(sums.statistics(), learnt(sample, np.sort(rows[cut:])).statistics(), prior)


def updates(labels: tuple[str, ...], weights: Sequence[NDArray[np.float32]]) -> tuple[list[int], list[Head]]:
    """The bytes of each head's delta from the one before it, as they are sent; the heads that agents have then."""
    version = digest(b"the device's version")
    heads = [head_of(version, labels, weights[0])]
    sizes = []
    for one in weights[1:]:
        head = closest_within(heads[-1], labels, one, MOST_BYTES)
        delta = write_delta(heads[-1], head)
        sizes.append(len(write_head(head)) if delta is None else len(delta))
        heads.append(head)
    return sizes, heads


def agreement(head: Head, weights: NDArray[np.float32], embedding: NDArray[np.float16]) -> float:
    """The share of embeddings [rows, width] that a head as it was sent gives the label of the exact `weights`."""
    h = embedding.astype(np.float32)
    return float((logits(head.weights(), h).argmax(axis=1) == logits(weights, h).argmax(axis=1)).mean())


def _distance(one: HeadStatistics, other: HeadStatistics, prior: HeadStatistics) -> float:
    first, second = fit(joined(prior, one)), fit(joined(prior, other))
    return float(np.linalg.norm(first - second) / np.linalg.norm(second))
