"""A version's own inputs for canonical ones, and its scores: by the agent's own program, as a device will do it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import ModelInvalid
from upriver_control.validation import Limits, make_golden

Array = NDArray[Any]
MOST_ROWS: Final = 2_000
MOST_BYTES: Final = 32 << 20


def slices(arrays: Mapping[str, Array]) -> Iterator[slice]:
    """Parts of some rows that one call takes."""
    rows = len(next(iter(arrays.values())))
    size = sum(_bytes(array) for array in arrays.values()) / max(1, rows)
    most = int(max(1, min(MOST_ROWS, MOST_BYTES // max(1.0, size))))
    for at in range(0, rows, most):
        yield slice(at, min(rows, at + most))


def write_samples(path: Path, arrays: Mapping[str, Array], labels: Sequence[int] | None = None) -> None:
    """Canonical inputs as the file of samples that the agent's program reads, with class numbers if there are any."""
    made: dict[str, Array] = {}
    for name, array in arrays.items():
        if array.dtype == object:
            made[f"inputs/{name}"] = np.frombuffer(b"".join(array), np.uint8)
            made[f"inputs/{name}.offsets"] = np.cumsum([0, *map(len, array)], dtype=np.int64)
        else:
            made[f"inputs/{name}"] = array
    if labels is not None:
        made["labels"] = np.asarray(labels, np.int64)
    with path.open("wb") as out:
        np.savez(out, allow_pickle=False, **made)


def prepared(version: Path, arrays: Mapping[str, Array], aside: Path, timeout_s: float) -> dict[str, Array]:
    """What the model of a version is given for some rows of one slice, by the names of its tensors."""
    out = aside / "prepared.npz"
    _run(version, arrays, aside, timeout_s, out)
    return {name.removeprefix("inputs/"): array for name, array in _arrays(out).items()}


def scores(version: Path, output: str, arrays: Mapping[str, Array], aside: Path, timeout_s: float) -> Array:
    """A version's scores for all rows, [rows, labels]."""
    found = []
    for part in slices(arrays):
        taken = {name: array[part] for name, array in arrays.items()}
        made = _arrays(_run(version, taken, aside, timeout_s, None))
        if f"outputs/{output}" not in made:
            raise ModelInvalid(f"the version has no output {output!r}; it has {', '.join(sorted(made))}")
        found.append(made[f"outputs/{output}"])
    return np.concatenate(found)


def _run(version: Path, arrays: Mapping[str, Array], aside: Path, timeout_s: float, out: Path | None) -> Path:
    samples, golden = aside / "samples.npz", aside / "outputs.npz"
    write_samples(samples, arrays)
    make_golden(version, samples, golden, out, Limits(timeout_s=timeout_s))
    return golden


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _bytes(array: Array) -> int:
    return sum(map(len, array)) if array.dtype == object else int(array.nbytes)
