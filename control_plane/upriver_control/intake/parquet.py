"""Data in Parquet files: one column for each canonical input, and `label` if there are labels. The user of pyarrow.

An input's column is binary (an encoded image; for numbers their little-endian bytes, or an image of the right size), a
list of numbers of any nesting, or numbers where a row is a single one. A struct with a field `bytes` is read as that.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from upriver.errors import InvalidInput
from upriver_control.intake.contract import Input
from upriver_control.intake.pictures import pixels
from upriver_control.intake.rows import Batch, Data, as_labels, fitted

LABEL: Final = "label"
_TOGETHER: Final = 256
_BROKEN: Final = (OSError, pa.ArrowException)


def open_parquet(paths: Sequence[Path], contract: Sequence[Input]) -> Data:
    """Opens Parquet files; raises InvalidInput naming file and column when one does not fit the contract."""
    rows, labelled = 0, set()
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                names = list(file.schema_arrow.names)
                rows += file.metadata.num_rows
        except _BROKEN as error:
            raise InvalidInput(f"{path.name}: can't be read as Parquet: {error}") from error
        missing = [wanted.name for wanted in contract if wanted.name not in names]
        if missing:
            raise InvalidInput(
                f"{path.name}: has no column {missing[0]!r}; it has {', '.join(names) or 'none'}; expected "
                f"{'; '.join(map(str, contract))}{'' if LABEL in names else f', and {LABEL!r} if you like'}"
            )
        labelled.add(LABEL in names)
    if len(labelled) > 1:
        raise InvalidInput(f"{paths[0].parent}: some files have {LABEL!r} and others do not")
    told = paths[0].name if len(paths) == 1 else f"{len(paths)} Parquet files"
    return Data(told, rows, labelled == {True}, _all(paths, contract, labelled == {True}))


def _all(paths: Sequence[Path], contract: Sequence[Input], labelled: bool) -> Iterator[Batch]:
    columns = [*(wanted.name for wanted in contract), *([LABEL] if labelled else [])]
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                row = 0
                for batch in file.iter_batches(_TOGETHER, columns=columns):
                    yield _batch(batch, contract, labelled, path, row)
                    row += len(batch)
        except _BROKEN as error:
            raise InvalidInput(f"{path.name}: is broken: {error}") from error


def _batch(batch: Any, contract: Sequence[Input], labelled: bool, path: Path, row: int) -> Batch:
    inputs = {}
    for wanted in contract:
        where = f"{path.name}: column {wanted.name!r}"
        inputs[wanted.name] = _column(_whole(batch.column(wanted.name), where, row), wanted, where, row)
    if not labelled:
        return Batch(inputs, None)
    where = f"{path.name}: column {LABEL!r}"
    labels = _whole(batch.column(LABEL), where, row).to_pylist()
    return Batch(inputs, as_labels(labels, f"{where}, rows from {row} on"))


def _whole(column: Any, where: str, row: int) -> Any:
    """A column without nulls and dictionaries."""
    if column.null_count:
        missing = np.flatnonzero(np.asarray(column.is_null().to_numpy(zero_copy_only=False)))[0]
        raise InvalidInput(f"{where}, row {row + int(missing)}: is null; expected a value in every row")
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _column(column: Any, wanted: Input, where: str, row: int) -> NDArray[Any]:
    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:  # images as data sets often have them
        return _column(_whole(column.field("bytes"), f"{where}, field 'bytes'", row), wanted, where, row)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _from_bytes(column.to_pylist(), wanted, where, row)
    if wanted.encoded:
        raise InvalidInput(f"{where}: is {kind}; expected binary, an image file in each row")
    if _is_list(kind):
        return _from_lists(column, wanted, where, row)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        numbers = np.asarray(column.to_numpy(zero_copy_only=False))
        return fitted(wanted, numbers, f"{where}, rows from {row} on")
    raise InvalidInput(f"{where}: is {kind}; expected numbers, lists of numbers or binary")


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _from_lists(column: Any, wanted: Input, where: str, row: int) -> NDArray[Any]:
    """Lists of any nesting: as many numbers in each row as the contract has."""
    rows, numbers = len(column), column
    each = np.ones(rows, np.int64)
    while _is_list(numbers.type):
        lengths = np.asarray(numbers.value_lengths().to_numpy(zero_copy_only=False), np.int64)
        before, ends = np.concatenate([[0], np.cumsum(lengths)]), np.cumsum(each)
        each = before[ends] - before[ends - each]
        numbers = numbers.flatten()
        if numbers.null_count:
            raise InvalidInput(f"{where}, rows from {row} on: a list has a null in it; expected numbers")
    wrong = np.flatnonzero(each != wanted.numbers)
    if len(wrong):
        raise InvalidInput(
            f"{where}, row {row + int(wrong[0])}: {each[wrong[0]]} numbers; expected {wanted.numbers} "
            f"({list(wanted.shape)})"
        )
    found = np.asarray(numbers.to_numpy(zero_copy_only=False))
    return fitted(wanted, found.reshape(rows, wanted.numbers), f"{where}, rows from {row} on")


def _from_bytes(values: Sequence[bytes], wanted: Input, where: str, row: int) -> NDArray[Any]:
    items = np.empty(len(values), object)
    if wanted.encoded:
        items[:] = values
        return items
    size = wanted.numbers * wanted.dtype.itemsize
    for place, value in enumerate(values):
        here = f"{where}, row {row + place}"
        if len(value) == size:
            items[place] = np.frombuffer(value, wanted.dtype).reshape(wanted.shape)
        elif wanted.is_picture:
            items[place] = pixels(value, wanted, here)
        else:
            raise InvalidInput(f"{here}: {len(value)} bytes; expected {size} ({wanted.dtype} {list(wanted.shape)})")
    return np.stack(list(items))
