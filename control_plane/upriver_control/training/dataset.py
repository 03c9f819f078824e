"""What a function that trains is given: lessons as batches of the model's own inputs, and the version to go on from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Targets = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BaseVersion:
    """The version to go on from.

    `folder` has its files, `source` its Keras model (None without one), `scores` names the output that labels are of,
    and `logits` says whether that output is logits; else it is probabilities.
    """

    name: str
    digest: str
    folder: Path
    source: Path | None
    manifest: Mapping[str, Any]
    labels: tuple[str, ...]
    scores: str
    logits: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: the model's own inputs by name [rows, ...], and how sure each label is [rows, labels], summing to 1.

    `replayed` [rows] says which rows are no lessons but must not be forgotten.
    """

    inputs: Mapping[str, Array]
    targets: Targets
    replayed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Lessons, and what was replayed with them; none of the rows that the outcome is evaluated on.

    `labels` are the base's labels and behind them those that it has to learn: a model must give so many scores, in
    this order. `settings` are what was asked for by name; `folder` is a place to write to, which is the working
    directory as well.
    """

    labels: tuple[str, ...]
    rows: int
    settings: Mapping[str, float]
    folder: Path
    chunks: Sequence[Path] = field(repr=False)

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """All rows once, in an order that `seed` decides; at most two chunks of them are in memory."""
        chance = np.random.default_rng(seed)
        rest: Batch | None = None
        for number in chance.permutation(len(self.chunks)):
            chunk = read_chunk(self.chunks[number])
            batch = _rows(chunk, chance.permutation(len(chunk.targets)))
            batch = batch if rest is None else _joined(rest, batch)
            whole = len(batch.targets) // size * size
            for at in range(0, whole, size):
                yield _rows(batch, slice(at, at + size))
            rest = _rows(batch, slice(whole, None)) if whole < len(batch.targets) else None
        if rest is not None:
            yield rest


def write_chunk(path: Path, batch: Batch) -> None:
    """Writes some rows."""
    arrays: dict[str, Array] = {f"inputs/{name}": array for name, array in batch.inputs.items()}
    with path.open("wb") as out:
        np.savez(out, allow_pickle=False, targets=batch.targets, replayed=batch.replayed, **arrays)


def read_chunk(path: Path) -> Batch:
    """Reads them."""
    with np.load(path, allow_pickle=False) as archive:
        inputs = {name.removeprefix("inputs/"): archive[name] for name in archive.files if name.startswith("inputs/")}
        return Batch(inputs, archive["targets"], archive["replayed"])


def _rows(batch: Batch, which: slice | NDArray[np.int64]) -> Batch:
    return Batch(
        {name: array[which] for name, array in batch.inputs.items()}, batch.targets[which], batch.replayed[which]
    )


def _joined(first: Batch, second: Batch) -> Batch:
    return Batch(
        {name: np.concatenate([array, second.inputs[name]]) for name, array in first.inputs.items()},
        np.concatenate([first.targets, second.targets]),
        np.concatenate([first.replayed, second.replayed]),
    )
