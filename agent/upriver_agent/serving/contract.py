"""A model's contract: which canonical inputs a request must bring, checked before anything runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upriver.errors import InvalidInput
from upriver.tensors import Array, Tensor

_SMALL = 8192
_BLAS_BYTES = 4  # float16 has no BLAS


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One canonical input: `shape` is one row's; `encoded` says that each row is an encoded image (BYTES)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    encoded: bool = False


class Contract:
    """The canonical inputs of one model."""

    def __init__(self, inputs: Sequence[InputSpec], max_rows: int = 4096) -> None:
        self.inputs = tuple(inputs)
        self.max_rows = max_rows
        self._names = frozenset(spec.name for spec in inputs)

    def check(self, tensors: Mapping[str, Tensor]) -> tuple[int, dict[str, Array]]:
        """Gives the number of rows and the arrays [rows, *shape]; raises InvalidInput naming what is wrong."""
        if tensors.keys() != self._names:
            self._refuse_names(tensors)
        rows = -1
        arrays: dict[str, Array] = {}
        for spec in self.inputs:
            array = _checked(spec, tensors[spec.name])
            count = array.shape[0]
            if rows not in (-1, count):
                raise InvalidInput(f"input {spec.name!r} has {count} rows, the inputs before it {rows}")
            rows = count
            arrays[spec.name] = array
        if rows < 1:
            raise InvalidInput("the batch is empty: expected at least one row")
        if rows > self.max_rows:
            raise InvalidInput(f"{rows} rows in one request; at most {self.max_rows} are allowed")
        return rows, arrays

    def _refuse_names(self, tensors: Mapping[str, Tensor]) -> None:
        expected = ", ".join(f"{spec.name} ({spec.datatype} [rows{_sizes(spec)}])" for spec in self.inputs)
        unknown = sorted(tensors.keys() - self._names)
        missing = sorted(self._names - tensors.keys())
        what = [f"unknown input {name!r}" for name in unknown] + [f"input {name!r} is missing" for name in missing]
        raise InvalidInput(f"{'; '.join(what)}; expected: {expected}")


def _checked(spec: InputSpec, tensor: Tensor) -> Array:
    array = tensor.array
    if tensor.datatype != spec.datatype:
        raise InvalidInput(f"input {spec.name!r}: expected datatype {spec.datatype}, got {tensor.datatype}")
    if spec.encoded:
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise InvalidInput(f"input {spec.name!r}: expected shape [rows] or [rows, 1], got {list(array.shape)}")
        return array
    if array.ndim == 0 or array.shape[1:] != spec.shape:
        raise InvalidInput(f"input {spec.name!r}: expected shape [rows{_sizes(spec)}], got {list(array.shape)}")
    if array.dtype.kind == "f" and array.size and _has_nan(array):
        raise InvalidInput(f"input {spec.name!r} contains NaN")
    return array


def _has_nan(array: Array) -> bool:
    """Whether any element is NaN: then their sum of squares is, and the minimum too; infinities make neither NaN.

    The product is BLAS at once, where a reduction starts NumPy's machinery (measured under load: 3 against 12 µs for
    784 elements); for large arrays BLAS would start threads of its own.
    """
    if array.size > _SMALL or array.dtype.itemsize < _BLAS_BYTES:
        return math.isnan(np.minimum.reduce(array, None))
    flat = array.reshape(-1)
    return math.isnan(flat.dot(flat))


def _sizes(spec: InputSpec) -> str:
    return "".join(f", {size}" for size in spec.shape)
