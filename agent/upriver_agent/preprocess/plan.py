"""A plan: how a batch of canonical rows becomes one input tensor, worked out once when a version is loaded.

Order of work: decode, resize, (x·scale - mean)/std, layout, quantise. Steps that change nothing are left out; when all
are, the plan hands the caller's array through untouched.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.tensors import DTYPES
from upriver_agent.preprocess.images import ImageDecoder
from upriver_agent.preprocess.resample import Resampling, resampling, whole_shrink
from upriver_agent.versions.binding import QUANTISED_TYPES, BoundInput
from upriver_agent.versions.manifest import Interpolation, Layout, Resize

Array = NDArray[Any]
Step = Callable[[Array], Array]

_KEPT_SIZES: Final = 8
"""How many sizes of images the weights are kept for."""


def make_plan(bound: BoundInput) -> Step:
    """Makes the function that takes [rows, *canonical shape] and gives [rows, ...] of the tensor's own type.

    It raises InvalidInput for images that can't be decoded. Raises RuntimeMissing at once when Pillow is needed and
    not installed.
    """
    recipe, canonical = bound.recipe, bound.canonical
    steps: list[Step] = []
    factor = np.asarray(bound.factor, np.float64)
    offset = np.asarray(bound.offset, np.float64)
    source = np.dtype(np.uint8) if canonical.encoded else _canonical_dtype(bound)
    exact = True  # values are still those of `source`
    if canonical.encoded:
        steps.append(_decoding(bound))
        source, exact = np.dtype(np.float32), False
    elif recipe.resize is not None and canonical.shape[:2] != (recipe.resize.height, recipe.resize.width):
        step, share = _resizing(canonical.shape, recipe.resize, source)
        steps.append(step)
        factor = factor * share
        source, exact = np.dtype(np.float32), False
    if recipe.layout is Layout.NCHW:
        steps.append(_channels_first)
    shape = (-1, 1, 1) if recipe.layout is Layout.NCHW else (-1,)
    last = _arithmetic(bound, source if exact else None, _per_channel(factor, shape), _per_channel(offset, shape))
    if last is not None:
        steps.append(last)
    return _chained(steps)


def _canonical_dtype(bound: BoundInput) -> np.dtype[Any]:
    return DTYPES.get(bound.canonical.datatype, np.dtype(np.float32))  # BF16 is widened to float32


def _per_channel(values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    return values.reshape(()) if values.size == 1 else values.reshape(shape)


def _chained(steps: list[Step]) -> Step:
    match steps:
        case []:
            return _untouched
        case [only]:
            return only
        case [first, second]:
            return lambda array: second(first(array))

    def run(array: Array) -> Array:
        for step in steps:
            array = step(array)
        return array

    return run


def _untouched(array: Array) -> Array:
    return array


def _channels_first(images: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(images, 3, 1))


def _resizing(shape: tuple[int, ...], resize: Resize, dtype: np.dtype[Any]) -> tuple[Step, float]:
    """The step that resizes, and what its results still have to be multiplied by."""
    height, width = shape[:2]
    if resize.interpolation is Interpolation.AREA:
        shrink = whole_shrink(height, width, resize.height, resize.width, dtype)
        if shrink is not None:
            return shrink, shrink.share
    return resampling(height, width, resize.height, resize.width, resize.interpolation), 1.0


def _decoding(bound: BoundInput) -> Step:
    """Decodes and resizes image by image, since each has a size of its own."""
    recipe, canonical = bound.recipe, bound.canonical
    resize, colour = recipe.resize, recipe.colour
    if resize is None or colour is None:
        raise ValueError(
            f"{recipe.tensor!r}: an encoded image needs resize and colour; the manifest's parser sees to it"
        )
    decoder = ImageDecoder(colour, canonical.max_pixels)
    sizes = _Resamplings(resize)

    def decode(rows: Array) -> Array:
        made = np.empty((len(rows), resize.height, resize.width, colour.channels), np.float32)
        for row, content in enumerate(rows.reshape(-1)):
            image = decoder.decode(canonical.name, row, content)
            made[row] = sizes.of(image.shape[0], image.shape[1])(image[np.newaxis])[0]
        return made

    return decode


class _Resamplings:
    """Weights by image size, a bounded number of them: cameras mostly send one size."""

    __slots__ = ("_kept", "_resize")

    def __init__(self, resize: Resize) -> None:
        self._resize = resize
        self._kept: dict[tuple[int, int], Resampling] = {}

    def of(self, height: int, width: int) -> Resampling:
        """Gives the resampling from one size."""
        found = self._kept.get((height, width))
        if found is None:
            to = self._resize
            found = resampling(height, width, to.height, to.width, to.interpolation)
            if len(self._kept) >= _KEPT_SIZES:
                self._kept.pop(next(iter(self._kept)))
            self._kept[height, width] = found
        return found


def _arithmetic(
    bound: BoundInput, source: np.dtype[Any] | None, factor: NDArray[np.float64], offset: NDArray[np.float64]
) -> Step | None:
    """x · factor + offset into the tensor's type; None when that changes nothing. `source` None: any, not exact."""
    tensor = bound.tensor
    target = np.dtype(tensor.dtype)
    quantised = tensor.scale != 0.0 and tensor.dtype in QUANTISED_TYPES
    if quantised:
        factor, offset = factor / tensor.scale, offset / tensor.scale + tensor.zero_point
    plain = bool(np.all(factor == 1.0) and np.all(offset == 0.0))
    if plain and source == target:
        return None
    if target.kind == "f":
        return _scaling(target, factor, offset, plain=plain)
    if source == np.uint8 and factor.ndim == 0 and offset.ndim == 0:
        table = _converted(np.arange(256, dtype=np.float64) * factor + offset, target)
        if target == np.uint8 and np.array_equal(table, np.arange(256)):
            return None
        return table.take
    if plain:
        return lambda array: _converted(array, target)
    return lambda array: _converted(np.multiply(array, factor) + offset, target)


def _scaling(target: np.dtype[Any], factor: NDArray[np.float64], offset: NDArray[np.float64], *, plain: bool) -> Step:
    by, add = factor.astype(target), offset.astype(target)
    if plain:
        return lambda array: np.asarray(array, target)
    if not offset.any():
        return lambda array: np.multiply(array, by, dtype=target)

    def scale(array: Array) -> Array:
        scaled: Array = np.multiply(array, by, dtype=target)
        scaled += add
        return scaled

    return scale


def _converted(values: Array, target: np.dtype[Any]) -> Array:
    """To integers: rounded to nearest even, held within the type's range; NaN becomes the lowest value."""
    if target.kind == "f":
        return values.astype(target)
    if target.kind == "b":
        return values.astype(np.bool_)
    bounds = np.iinfo(target)
    if values.dtype.kind == "f":
        values = np.nan_to_num(
            np.rint(values), nan=float(bounds.min), posinf=float(bounds.max), neginf=float(bounds.min)
        )
    return np.clip(values, bounds.min, bounds.max).astype(target)
