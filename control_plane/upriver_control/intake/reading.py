"""From a path to a questions file: what kind of data lies there, and its rows written as they are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upriver.errors import DiskTrouble, InvalidInput
from upriver.questions import INPUTS, LABELS, RowsWriter
from upriver_control.intake.arrays import open_arrays
from upriver_control.intake.contract import Input
from upriver_control.intake.pictures import SUFFIXES, find_pictures, open_pictures
from upriver_control.intake.rows import Data

_EXPECTED = (
    "expected .npz files with arrays named as the model's inputs, .parquet files with columns named so, or images"
    f" ({', '.join(SUFFIXES)}), in folders named as their labels if you like"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A questions file that was written: the digest of its bytes, their number, and how many questions it has."""

    digest: str
    size_bytes: int
    questions: int
    has_labels: bool


def open_data(path: Path, contract: Sequence[Input]) -> Data:
    """Opens the data at a path; raises InvalidInput that says what is wrong where."""
    if path.is_file():
        if path.suffix == ".npz":
            return open_arrays([path], contract)
        if path.suffix == ".parquet":
            return _parquet([path], contract)
        raise InvalidInput(f"{path}: {_EXPECTED}")
    if not path.is_dir():
        raise InvalidInput(f"{path}: is not there; {_EXPECTED}, or the word audits")
    try:
        arrays, tables = sorted(path.glob("*.npz")), sorted(path.rglob("*.parquet"))
        pictures = () if arrays or tables else find_pictures(path)
    except OSError as error:
        raise InvalidInput(f"{error.filename}: can't be read: {error.strerror}") from error
    if arrays and tables:
        raise InvalidInput(f"{path}: has both {arrays[0].name} and {tables[0].name}; expected one kind of data")
    if arrays:
        return open_arrays(arrays, contract)
    if tables:
        return _parquet(tables, contract)
    if pictures:
        return open_pictures(path, pictures, contract)
    raise InvalidInput(f"{path}: has no data; {_EXPECTED}")


def write_questions(data: Data, path: Path, told: Callable[[int], None]) -> Written:
    """Writes data as a questions file; `told` gets the rows that are written. Raises InvalidInput and DiskTrouble."""
    rows = 0
    try:
        with path.open("wb") as file, RowsWriter(file) as writer:
            for batch in data.batches:
                arrays: dict[str, Any] = {INPUTS + name: array for name, array in batch.inputs.items()}
                if batch.labels is not None:
                    arrays[LABELS] = np.empty(len(batch.labels), object)
                    arrays[LABELS][:] = batch.labels
                writer.add(arrays)
                rows += len(next(iter(batch.inputs.values())))
                told(rows)
    except OSError as error:
        raise DiskTrouble(f"can't write {path}: {error.strerror or error}") from error
    if not rows:
        raise InvalidInput(f"{data.told}: has no rows")
    return Written(writer.digest, writer.size_bytes, rows, data.has_labels)


def _parquet(paths: Sequence[Path], contract: Sequence[Input]) -> Data:
    from upriver_control.intake.parquet import open_parquet  # here, so that other data does not wait for pyarrow

    return open_parquet(paths, contract)
