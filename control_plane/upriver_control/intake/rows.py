"""Rows on their way into a questions file, and what they must look like."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput
from upriver_control.intake.contract import Input

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with their canonical inputs, [rows, *shape] of the contract's types, and labels where the data has them."""

    inputs: Mapping[str, Array]
    labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Data:
    """Data that was opened: what it is, how many rows it should have, and the rows, which may be gone through once."""

    told: str
    rows: int
    has_labels: bool
    batches: Iterator[Batch]


def fitted(wanted: Input, array: Array, where: str) -> Array:
    """Rows as the contract has them; `where` names file and first row. Raises InvalidInput.

    Numbers are converted when no value changes but by rounding to a shorter float; a missing last dimension of 1, or
    rows that were flattened, are given their shape.
    """
    shape = array.shape[1:]
    if shape != wanted.shape and array.size != len(array) * wanted.numbers:
        raise InvalidInput(f"{where}: {array.dtype} {list(shape)} a row; expected {wanted.dtype} {list(wanted.shape)}")
    if shape not in (wanted.shape, (wanted.numbers,)) and (*shape, 1) != wanted.shape:
        raise InvalidInput(
            f"{where}: {list(shape)} a row; expected {list(wanted.shape)}, or {[wanted.numbers]} flattened"
        )
    return converted(array.reshape((len(array), *wanted.shape)), wanted.dtype, where)


def converted(array: Array, dtype: np.dtype[Any], where: str) -> Array:
    """The same numbers in another type; raises InvalidInput where they do not fit."""
    if array.dtype == dtype:
        return array
    if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and dtype.kind in "iub"):
        raise InvalidInput(f"{where}: {array.dtype} can't become {dtype}; convert it to {dtype} before")
    with np.errstate(all="ignore"):
        made = array.astype(dtype)
        same = made.astype(array.dtype) == array
    if dtype.kind != "f" and not same.all():
        row = int(np.flatnonzero(~same.reshape(len(array), -1).all(axis=1))[0])
        raise InvalidInput(f"{where}: in row {row} of these a number does not fit into {dtype}")
    return made


def as_labels(values: Sequence[object] | Array, where: str) -> tuple[str, ...]:
    """Labels as texts: texts as they are, whole numbers as their digits. Raises InvalidInput."""
    told = []
    for row, value in enumerate(values):
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, bytes):
            plain = plain.decode("utf-8", "replace")
        if isinstance(plain, float) and plain.is_integer():
            plain = int(plain)
        if isinstance(plain, bool) or not isinstance(plain, str | int):
            raise InvalidInput(
                f"{where}: the label in row {row} of these is {plain!r}; expected a text or whole number"
            )
        told.append(str(plain))
    return tuple(told)


def only_picture(contract: Sequence[Input], told: str) -> Input:
    """The one input that images are for; raises InvalidInput where there is none, or others beside it."""
    if len(contract) != 1 or not contract[0].is_picture:
        known = "; ".join(map(str, contract))
        raise InvalidInput(f"{told} holds images, and the model takes {known}; give .npz or Parquet files instead")
    return contract[0]
