"""What LiteRT and tflite-runtime have in common: the Interpreter interface, driven with as few calls as it allows.

Only raw `invoke()` is used; signature runners and `invoke()` on one interpreter do not mix. Models whose batch is free
are resized to the rows that come; resizing plans the whole graph anew (some 50 µs for the smallest model), so a few
interpreters are kept, each at its own size. Models with a fixed batch are fed that many rows at a time.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from upriver.errors import InferenceFailed, InvalidInput, ModelInvalid
from upriver_agent.runtime.port import Array, TensorInfo

SMALL_MODEL_BYTES: Final = 4 << 20
SIZES_OF_SMALL: Final = 6
SIZES_OF_LARGE: Final = 2

Shapes = tuple[tuple[int, ...], ...]


class Interpreter(Protocol):
    """The part of the runtimes' own Interpreter class that is used here."""

    def allocate_tensors(self) -> None: ...  # noqa: D102 - the packages' own methods, documented there
    def get_input_details(self) -> list[dict[str, Any]]: ...  # noqa: D102 - likewise
    def get_output_details(self) -> list[dict[str, Any]]: ...  # noqa: D102 - likewise
    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None: ...  # noqa: D102 - likewise
    def set_tensor(self, tensor_index: int, value: Array) -> None: ...  # noqa: D102 - likewise
    def get_tensor(self, tensor_index: int) -> Array: ...  # noqa: D102 - likewise
    def invoke(self) -> None: ...  # noqa: D102 - likewise


class InterpreterRuntime:
    """A model behind an Interpreter class. `make` builds one more interpreter for the same model."""

    __slots__ = ("_fixed", "_in", "_make", "_most", "_out", "_sized", "inputs", "name", "outputs")

    def __init__(self, name: str, make: Callable[[], Interpreter], size_bytes: int) -> None:
        self.name = name
        self._make = make
        self._most = SIZES_OF_SMALL if size_bytes <= SMALL_MODEL_BYTES else SIZES_OF_LARGE
        first = _opened(make)
        try:
            self.inputs = tuple(map(_info, first.get_input_details()))
            self.outputs = tuple(map(_info, first.get_output_details()))
        except ValueError as error:  # a name that is not UTF-8, for one
            raise ModelInvalid(f"the runtime can't describe the model: {error}") from error
        self._in = tuple(tensor.index for tensor in self.inputs)
        self._out = tuple(tensor.index for tensor in self.outputs)
        self._fixed = _fixed_rows(self.inputs)  # 0: any number of rows
        self._sized: OrderedDict[Shapes, Interpreter] = OrderedDict()
        if all(tensor.shape for tensor in self.inputs):
            self._sized[tuple(tensor.shape for tensor in self.inputs)] = first

    def infer(self, inputs: Sequence[Array]) -> list[Array]:
        """Runs rows through the model; see `Runtime.infer`."""
        if len(inputs) != len(self._in):
            raise InvalidInput(f"the model takes {len(self._in)} tensors, got {len(inputs)}")
        if not self._fixed:
            return self._run(inputs)
        if len(inputs[0]) == self._fixed:
            return [_with_rows(result, self._fixed) for result in self._run(inputs)]
        return self._in_groups(inputs, len(inputs[0]), self._fixed)

    def _run(self, inputs: Sequence[Array]) -> list[Array]:
        shapes = tuple([array.shape for array in inputs])
        interpreter = self._sized.get(shapes)
        if interpreter is None:
            interpreter = self._resized(shapes)
        else:
            self._sized.move_to_end(shapes)
        try:
            for index, array in zip(self._in, inputs, strict=True):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in self._out]
        except ValueError as error:
            raise InvalidInput(f"the model does not take this input: {error}") from error
        except RuntimeError as error:
            raise InferenceFailed(f"{self.name}: {error}") from error

    def _in_groups(self, inputs: Sequence[Array], rows: int, size: int) -> list[Array]:
        """Feeds `size` rows at a time; the last group is filled up with zeros whose results are dropped."""
        if rows == 0:
            raise InvalidInput("no rows to infer; expected at least one")
        parts: list[list[Array]] = []
        for start in range(0, rows, size):
            group = [array[start : start + size] for array in inputs]
            lacking = size - len(group[0])
            if lacking:
                group = [np.concatenate([part, np.zeros((lacking, *part.shape[1:]), part.dtype)]) for part in group]
            parts.append([_with_rows(result, size) for result in self._run(group)])
        return [np.concatenate(results)[:rows] for results in zip(*parts, strict=True)]

    def _resized(self, shapes: Shapes) -> Interpreter:
        """Gives an interpreter of these shapes: one more, or once there are enough the least recently used one."""
        for tensor, shape in zip(self.inputs, shapes, strict=True):
            _check_shape(tensor, shape)
        if len(self._sized) < self._most:
            interpreter = _opened(self._make)
        else:
            _, interpreter = self._sized.popitem(last=False)
        try:
            for tensor, shape in zip(self.inputs, shapes, strict=True):
                interpreter.resize_tensor_input(tensor.index, shape)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InferenceFailed(f"{self.name}: can't be resized to {list(shapes)}: {error}") from error
        self._sized[shapes] = interpreter
        return interpreter


def open_interpreters(name: str, make: Callable[[], Interpreter], path: Path) -> InterpreterRuntime:
    """Opens the model at `path` with the interpreters that `make` builds; raises ModelInvalid when it can't be."""
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise ModelInvalid(f"can't read {path}: {error.strerror or error}") from error
    return InterpreterRuntime(name, make, size_bytes)


def _opened(make: Callable[[], Interpreter]) -> Interpreter:
    try:
        interpreter = make()
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelInvalid(f"the runtime can't open the model: {error}") from error
    return interpreter


def _info(details: dict[str, Any]) -> TensorInfo:
    quantisation = details["quantization_parameters"]
    scales, points = quantisation["scales"], quantisation["zero_points"]
    per_tensor = len(scales) == 1
    return TensorInfo(
        name=str(details["name"]),
        index=int(details["index"]),
        dtype=np.dtype(details["dtype"]),
        shape=tuple(map(int, details["shape"])),
        signature=tuple(map(int, details["shape_signature"])),
        scale=float(scales[0]) if per_tensor else 0.0,
        zero_point=int(points[0]) if per_tensor and len(points) else 0,
    )


def _fixed_rows(inputs: tuple[TensorInfo, ...]) -> int:
    """The batch that the model insists on, or 0 when every input's first size is free."""
    if any(not tensor.shape for tensor in inputs):
        names = ", ".join(repr(tensor.name) for tensor in inputs if not tensor.shape)
        raise ModelInvalid(f"input {names} has no rows dimension; expected [rows, ...]")
    sizes = {tensor.shape[0] for tensor in inputs if tensor.signature[0] != -1}
    if not sizes:
        return 0
    if len(sizes) > 1 or any(tensor.signature[0] == -1 for tensor in inputs):
        found = ", ".join(f"{tensor.name!r}: {list(tensor.signature)}" for tensor in inputs)
        raise ModelInvalid(f"the inputs differ in their number of rows: {found}")
    return sizes.pop()


def _check_shape(tensor: TensorInfo, shape: tuple[int, ...]) -> None:
    fits = len(shape) == len(tensor.signature) and all(
        have == want or want == -1 for have, want in zip(shape, tensor.signature, strict=True)
    )
    if not fits or math.prod(shape) == 0:
        raise InvalidInput(
            f"tensor {tensor.name!r} takes {list(tensor.signature)} (-1: any, at least 1), got {list(shape)}"
        )


def _with_rows(result: Array, rows: int) -> Array:
    """A model of one fixed row may leave the rows dimension out of an output: it is put back."""
    if result.ndim and len(result) == rows:
        return result
    if rows == 1:
        return result[np.newaxis]
    raise InferenceFailed(f"an output of shape {list(result.shape)} does not have the {rows} rows that went in")
