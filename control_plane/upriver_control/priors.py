"""A version's prior: the sums over what it was trained on, which heads that are learnt on it start from. Blocks."""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import DiskTrouble, InvalidInput, ModelInvalid
from upriver.head_statistics import HeadStatistics, nothing, write_statistics
from upriver.listing import LIMITS, MANIFEST, PRIOR
from upriver.questions import LABELS, read_rows
from upriver.whole import write_whole
from upriver_control.calibrating.answers import Order, run_answering
from upriver_control.intake import open_data, read_contract, write_questions

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What running the version over its training set may take."""

    timeout_s: float = 3600.0
    memory_mib: int = 4096


def make_prior(folder: Path, data: Path, told: Callable[[int, int], None], limits: Limits = Limits()) -> HeadStatistics:
    """Runs the version in a folder over labelled data, in a child process, and writes its prior there; gives the sums.

    Data are as `intake` reads them; labels are the version's, or numbers that count them. `told` gets the rows that are
    done, and how many there are. Raises InvalidInput for data that does not fit, ModelInvalid, RuntimeMissing,
    DiskTrouble.
    """
    try:
        contract = read_contract((folder / MANIFEST).read_text("utf-8", "replace"))
    except OSError as error:
        raise ModelInvalid(f"{folder}: has no {MANIFEST} that could be read: {error.strerror or error}") from error
    found = open_data(data, contract)
    if not found.has_labels:
        raise InvalidInput(f"{found.told}: has no labels; give each row its label")
    with tempfile.TemporaryDirectory(prefix="upriver-prior-") as aside:
        questions, out = Path(aside) / "questions", Path(aside) / "answers"
        rows = write_questions(found, questions, lambda _: None).questions
        return write_prior(folder, questions, out, lambda done: told(done, rows), limits)


def write_prior(
    folder: Path, questions: Path, aside: Path, told: Callable[[int], None] = lambda _: None, limits: Limits = Limits()
) -> HeadStatistics:
    """The same for a questions file with labels; `aside` is where its embeddings may be written meanwhile."""
    order = Order(
        str(folder.resolve()), str(questions), str(aside), limits.timeout_s, limits.memory_mib, embeddings=True
    )
    try:
        said = run_answering(order, str(folder), told)
        sums = _summed(aside, tuple(said["labels"]))
    finally:
        aside.unlink(missing_ok=True)
    _write(folder / PRIOR, sums)
    return sums


def _summed(path: Path, labels: tuple[str, ...]) -> HeadStatistics:
    sums: HeadStatistics | None = None
    for group in read_rows(path):
        # As lessons are kept: what is summed up here is what they are added to.
        embedding = group["embedding"].astype(np.float16).astype(np.float64)
        targets = np.eye(len(labels))[_columns([one.decode("utf-8", "replace") for one in group[LABELS]], labels)]
        sums = nothing(embedding.shape[1], labels) if sums is None else sums
        h = np.hstack([embedding, np.ones((len(embedding), 1))])
        sums.outer += h.T @ h
        sums.toward += h.T @ targets
    if sums is None:
        raise InvalidInput("the data has no rows")
    if not np.isfinite(sums.outer).all():
        raise ModelInvalid("the version's embedding has numbers that are not finite, or beyond what 16 bits hold")
    return sums


def _columns(told: list[str], labels: tuple[str, ...]) -> NDArray[np.intp]:
    """The columns of some labels: by name, or where none is called that, by number."""
    at = {label: column for column, label in enumerate(labels)}
    if not set(told) & set(labels):
        at = {str(column): column for column in range(len(labels))}
    strange = sorted(set(told) - set(at))
    if strange:
        known = ", ".join(map(repr, labels[:_SHOWN])) + (" and more" if len(labels) > _SHOWN else "")
        raise InvalidInput(f"labels {', '.join(map(repr, strange[:_SHOWN]))}: the version knows {known}")
    return np.array([at[one] for one in told], dtype=np.intp)


def _write(path: Path, sums: HeadStatistics) -> None:
    """Numbers of 32 bits: half the size, and far more than sums over a training set are sure of."""
    arrays: dict[str, NDArray[Any]] = {
        name: array.astype(np.float32) if array.dtype == np.float64 else array
        for name, array in write_statistics(sums).items()
    }
    written = io.BytesIO()
    np.savez(written, **arrays)  # type: ignore[arg-type]  # its stubs take every keyword for a flag
    data = written.getvalue()
    if len(data) > LIMITS[PRIOR]:
        raise InvalidInput(f"{PRIOR} would have {len(data)} bytes; at most {LIMITS[PRIOR]}")
    try:
        write_whole(path, data)
    except OSError as error:
        raise DiskTrouble(f"can't write {path}: {error.strerror or error}") from error
