"""How exact sums over lessons are: merged against learnt in one place, forgotten against never seen; and how large what
changes from one head to the next is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.head_fit import fit, joined
from upriver.head_statistics import HeadStatistics, merged, nothing
from upriver.heads import Head, closest_within, head_of, logits, write_delta, write_head
from upriver.listing import digest
from upriver.scores import Floats

MOST_BYTES: Final = 1024
"""A head's update is to have at most so many."""
AGENTS: Final = 7


@dataclass(frozen=True, slots=True)
class Sample:
    """Lessons: embeddings [lessons, width] as journals keep them, targets [lessons, labels]."""

    embedding: NDArray[np.float16]
    targets: Floats

    def part(self, rows: NDArray[np.intp]) -> "Sample":
        """Those of `rows`, in that order."""
        return Sample(self.embedding[rows], self.targets[rows])


def learnt(sample: Sample, labels: tuple[str, ...]) -> HeadStatistics:
    """The sums over lessons, taken in one by one as an agent does."""
    sums = nothing(sample.embedding.shape[1], labels)
    for embedding, target in zip(sample.embedding, sample.targets, strict=True):
        sums.add(embedding, target)
    return sums


def merge_error(sample: Sample, prior: HeadStatistics, seed: int) -> float:
    """How far the weights of agents' merged sums lie from those of one place that saw all lessons, relative.

    Lessons are dealt to AGENTS, in an order of chance, and merged in another.
    """
    chance = np.random.default_rng(seed)
    rows = chance.permutation(len(sample.targets))
    parts = [learnt(sample.part(part), prior.labels) for part in np.array_split(rows, AGENTS)]
    chance.shuffle(parts)
    return _distance(merged(parts), learnt(sample, prior.labels), prior)


def forget_error(sample: Sample, prior: HeadStatistics, share: float, seed: int) -> float:
    """How far weights lie, relative, from those that never saw a `share` of the lessons, after these were taken out."""
    rows = np.random.default_rng(seed).permutation(len(sample.targets))
    cut = round(share * len(rows))
    sums = learnt(sample, prior.labels)
    for row in rows[:cut]:
        sums.add(sample.embedding[row], sample.targets[row], -1.0)
    return _distance(sums, learnt(sample.part(np.sort(rows[cut:])), prior.labels), prior)


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
