"""What callers pass (arrays, images, bytes, paths) as the tensors that a model's contract asks for."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from upriver.answer import ModelMetadata, TensorSpec
from upriver.errors import InvalidInput
from upriver.images import is_image, open_image, pixels_to_png, takes_images, to_pixels, to_png
from upriver.tensors import DTYPES, Array, Datatype, Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

One = Union[Array, "Image", bytes, str, os.PathLike[str]]
"""One question's input, or an array of several rows."""
Inputs = One | Sequence[One] | Mapping[str, One | Sequence[One]]
"""One question, or a batch; for models with several inputs, by name."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors with rows first. `single` says that the caller passed one question and not a batch of one."""

    tensors: tuple[Tensor, ...]
    rows: int
    single: bool


def to_batch(inputs: object, model: ModelMetadata) -> Batch:
    """Makes the tensors of a request.

    An array with exactly one row's shape is one question, with one more dimension in front a batch; a list is a batch
    of rows. Numbers are converted when no value changes but by rounding to a shorter float. A path is read: `.npy`
    holds one row's array, anything else an encoded image, as bytes do. What becomes of images `upriver.images` says.

    Raises InvalidInput naming the input, what was expected and what came; RuntimeMissing when Pillow is needed.
    """
    if not isinstance(inputs, Mapping):
        if len(model.inputs) != 1:
            known = ", ".join(str(spec) for spec in model.inputs)
            raise InvalidInput(f"model {model.model!r} takes {len(model.inputs)} inputs; pass them by name: {known}")
        inputs = {model.inputs[0].name: inputs}
    _check_names(inputs, model)
    columns = {spec.name: _column(spec, inputs[spec.name]) for spec in model.inputs}
    counts = {name: len(array) for name, (array, _) in columns.items()}
    rows = next(iter(counts.values()), 0)
    if set(counts.values()) != {rows} or not rows:
        told = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise InvalidInput(f"all inputs need the same number of rows, at least one: {told or 'no inputs'}")
    tensors = tuple(Tensor(spec.name, spec.datatype, columns[spec.name][0]) for spec in model.inputs)
    return Batch(tensors, rows, all(single for _, single in columns.values()))


def _check_names(inputs: Mapping[Any, object], model: ModelMetadata) -> None:
    known = [spec.name for spec in model.inputs]
    wrong = [f"unknown input {name!r}" for name in inputs if name not in known]
    wrong += [f"input {name!r} is missing" for name in known if name not in inputs]
    if wrong:
        raise InvalidInput(f"{'; '.join(wrong)}; model {model.model!r} takes: {', '.join(map(str, model.inputs))}")


def _column(spec: TensorSpec, value: object) -> tuple[Array, bool]:
    """The rows of one input, [rows, *shape], and whether it was passed as one question."""
    if isinstance(value, np.ndarray):
        return _from_array(spec, value)
    if isinstance(value, list | tuple):
        return _stack(spec, [_row(spec, item, f"input {spec.name!r}, row {row}") for row, item in enumerate(value)])
    return _stack(spec, [_row(spec, value, f"input {spec.name!r}")])[0], True


def _stack(spec: TensorSpec, rows: Sequence[Array]) -> tuple[Array, bool]:
    if len({row.shape for row in rows}) > 1:
        raise InvalidInput(f"input {spec.name!r}: rows differ in shape: {sorted({row.shape for row in rows})}")
    if rows:
        return np.stack(rows), False
    return np.empty((0, *(max(size, 0) for size in spec.shape)), object), False


def _from_array(spec: TensorSpec, array: Array) -> tuple[Array, bool]:
    what = f"input {spec.name!r}"
    if spec.datatype == Datatype.BYTES and array.dtype.kind not in "OSU":
        if array.ndim == 4:
            return _stack(spec, [_row(spec, pixels, f"{what}, row {row}") for row, pixels in enumerate(array)])
        return _stack(spec, [_row(spec, array, what)])[0], True
    if _fits(spec, array.shape):
        return _converted(spec, array, what)[np.newaxis], True
    if array.ndim and _fits(spec, array.shape[1:]):
        return _converted(spec, array, what), False
    hint = "; add the last dimension: array[..., np.newaxis]" if _fits(spec, (*array.shape, 1)) else ""
    raise InvalidInput(
        f"{what}: an array of shape {list(array.shape)} is neither one question {_shape(spec.shape)} nor a batch"
        f" {_shape(('rows', *spec.shape))}{hint}"
    )


def _row(spec: TensorSpec, value: object, what: str) -> Array:
    """One row of an input, of the contract's shape and type."""
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        what = str(path)
        value = load_array(path) if path.suffix == ".npy" else _read(path)
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if spec.datatype == Datatype.BYTES and array.dtype.kind not in "OSU":
            return _element(spec, pixels_to_png(_converted_to("UINT8", array, what), what), what)
        if not _fits(spec, array.shape):
            raise InvalidInput(f"{what}: expected shape {_shape(spec.shape)}, got {_shape(array.shape)}")
        return _converted(spec, array, what)
    if isinstance(value, bytes | bytearray | memoryview):
        if spec.datatype == Datatype.BYTES:
            return _element(spec, bytes(value), what)
        _check_takes_images(spec, what)
        return to_pixels(open_image(bytes(value), what), spec.shape, what)
    if is_image(value):
        if spec.datatype == Datatype.BYTES:
            return _element(spec, to_png(value, what), what)
        _check_takes_images(spec, what)
        return to_pixels(value, spec.shape, what)
    raise InvalidInput(
        f"{what}: got {type(value).__name__}; expected a NumPy array, a PIL image, bytes, a path, or a list of them"
    )


def _check_takes_images(spec: TensorSpec, what: str) -> None:
    if not takes_images(spec.datatype, spec.shape):
        raise InvalidInput(
            f"{what}: an image can't become {spec}: only UINT8 [height, width, 1 or 3] and encoded images (BYTES) can"
            " be made of one; pass an array"
        )


def _element(spec: TensorSpec, content: bytes, what: str) -> Array:
    if not _fits(spec, (1,) * len(spec.shape)):
        raise InvalidInput(f"{what}: one element of bytes is not a row of {_shape(spec.shape)} of them; pass an array")
    array = np.empty((1,) * len(spec.shape), object)
    array[...] = content
    return array


def _fits(spec: TensorSpec, shape: Sequence[int]) -> bool:
    return len(shape) == len(spec.shape) and all(
        want in (-1, size) for want, size in zip(spec.shape, shape, strict=True)
    )


def _converted(spec: TensorSpec, array: Array, what: str) -> Array:
    if spec.datatype == Datatype.BYTES:
        items = np.empty(array.shape, object)
        items[...] = array
        return items
    return _converted_to(_kind(spec), array, what)


def _kind(spec: TensorSpec) -> str:
    """The data type of the array that is sent; BF16 is cut from FP32."""
    if spec.datatype == Datatype.BF16:
        return Datatype.FP32
    if spec.datatype not in DTYPES:
        raise InvalidInput(f"input {spec.name!r}: unknown datatype {spec.datatype!r}")
    return spec.datatype


def _converted_to(datatype: str, array: Array, what: str) -> Array:
    dtype = DTYPES[datatype]
    if array.dtype == dtype or np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype, copy=False)
    if array.dtype.kind == "f" and dtype.kind == "f":
        with np.errstate(over="raise"):
            try:
                return array.astype(dtype)
            except FloatingPointError as error:
                raise InvalidInput(f"{what}: a value is too large for {datatype}") from error
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not array.size or (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
            return array.astype(dtype)
        raise InvalidInput(f"{what}: a value is outside {datatype} [{limits.min}, {limits.max}]")
    raise InvalidInput(
        f"{what}: expected {datatype}, got an array of {array.dtype}; convert it as the model wants (array.astype)"
    )


def _shape(shape: Sequence[int | str]) -> str:
    return f"[{', '.join('any' if size == -1 else str(size) for size in shape)}]"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read: {error.strerror}") from error


def load_array(path: Path) -> Array:
    """Reads a `.npy` file; raises InvalidInput naming it when it can't be read or holds no plain array."""
    try:
        array: Array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise InvalidInput(f"{path}: not a NumPy array file: {error}") from error
    return array
