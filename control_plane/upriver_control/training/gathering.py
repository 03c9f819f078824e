"""Lessons as rows to train and to evaluate on: which are held out, which are left out, and what each should be."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from upriver.errors import InvalidInput
from upriver.tensors import DTYPES
from upriver_control.intake.contract import Input
from upriver_control.training.origins import NOWHERE, Origin

Array = NDArray[Any]
Targets = NDArray[np.float32]
NEW_LABEL_LESSONS: Final = 20
"""A label that the base does not have is learnt from so many lessons on, unless `new_label_lessons` says otherwise."""
OTHER_INPUTS: Final = "its inputs are not the model's"
UNKNOWN_LABEL: Final = "its label is not the base version's, and too few lessons have it"


@dataclass(frozen=True, slots=True)
class Row:
    """One question: canonical inputs by name, what it should be, and where it comes from.

    `soft` has how sure the teacher was of each label that it knows; empty when it did not say. `origin` is the
    question's span, where that is known.
    """

    id: str
    region: str
    label: str
    inputs: Mapping[str, Any]
    soft: Mapping[str, float] = field(default_factory=dict)
    origin: Origin = NOWHERE


def is_held_out(id_: str, share: float) -> bool:
    """Whether a lesson is never trained on: by the hash of its id, so by the same for every training."""
    number = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "big")
    return number < share * 2.0**64


def rows_of(table: pa.Table, contract: Sequence[Input], left_out: Counter[str]) -> Iterator[Row]:
    """The rows of a file of lessons whose inputs are as the contract has them."""
    for one in table.to_pylist():
        inputs = _inputs(one["inputs"], contract)
        if inputs is None:
            left_out[OTHER_INPUTS] += 1
            continue
        soft = dict(zip(one["labels"] or (), one["scores"] or (), strict=False))
        origin = Origin(one.get("trace") or "", one.get("span") or "")
        yield Row(one["id"], one["region"], one["label"], inputs, soft, origin)


def learnt_labels(base: Sequence[str], rows: Iterable[Row], least: int) -> tuple[str, ...]:
    """The base's labels, and behind them those of enough lessons that it does not have, by name."""
    counts = Counter(row.label for row in rows if row.label not in base)
    return (*base, *sorted(label for label, count in counts.items() if count >= least))


def targets_of(rows: Sequence[Row], labels: Sequence[str]) -> Targets:
    """How sure each label is [rows, labels]: as the teacher was where its surest label is the answer, else only that.

    What it said of labels that are not learnt is shared out among those that are.
    """
    made = np.zeros((len(rows), len(labels)), np.float32)
    places = {label: place for place, label in enumerate(labels)}
    for number, row in enumerate(rows):
        soft = {label: share for label, share in row.soft.items() if label in places and share > 0.0}
        total = sum(soft.values())
        if soft and max(soft, key=lambda label: soft[label]) == row.label and max(row.soft.values()) <= 1.0:
            for label, share in soft.items():
                made[number, places[label]] = share / total
        else:
            made[number, places[row.label]] = 1.0
    return made


def spread(rows: Sequence[Row], most: int) -> list[Row]:
    """So many rows at most, from the first to the last at even distances."""
    return list(rows) if len(rows) <= most else [rows[at * len(rows) // most] for at in range(most)]


def stacked(rows: Sequence[Row], contract: Sequence[Input]) -> dict[str, Array]:
    """The canonical inputs of rows, [rows, ...]; encoded images are object arrays of bytes."""
    found: dict[str, Array] = {}
    for one in contract:
        if one.encoded:
            items = np.empty(len(rows), object)
            items[:] = [row.inputs[one.name] for row in rows]
            found[one.name] = items
        else:
            found[one.name] = np.stack([row.inputs[one.name] for row in rows])
    return found


def data_digest(rows: Iterable[tuple[str, str]], *more: str) -> str:
    """Names what was trained on: ids and labels in the order of ids, and what else counts."""
    found = hashlib.sha256("\n".join(more).encode())
    for id_, label in sorted(rows):
        found.update(f"\n{id_}\t{label}".encode())
    return f"sha256:{found.hexdigest()}"


def _inputs(given: Sequence[Mapping[str, Any]], contract: Sequence[Input]) -> dict[str, Any] | None:
    """A lesson's inputs as the contract has them; None when they are others."""
    by_name = {one["name"]: one for one in given or ()}
    if by_name.keys() != {one.name for one in contract}:
        return None
    found: dict[str, Any] = {}
    for wanted in contract:
        one = by_name[wanted.name]
        if wanted.encoded:
            if one["datatype"] != "BYTES":
                return None
            found[wanted.name] = one["data"]
            continue
        dtype = DTYPES.get(one["datatype"])
        if dtype != wanted.dtype or tuple(one["shape"]) != wanted.shape:
            return None
        found[wanted.name] = np.frombuffer(one["data"], dtype).reshape(wanted.shape)
    return found


def enough(rows: int, held_out: int) -> None:
    """Raises InvalidInput unless there is something to train on, and something to hold it against."""
    if not rows or not held_out:
        raise InvalidInput(
            f"{rows} lessons to train on and {held_out} to hold it against; expected some of both: hand up more"
            ' lessons (learning.share = "inputs" on agents, and callers\' consent), or take another region or time'
        )
