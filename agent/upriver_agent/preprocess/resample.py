"""Resampling images with NumPy alone, by weights that are computed once.

Every interpolation is separable: output row i is a weighted sum of input rows, the same for columns, so an image of
[height, width] becomes V · image · Hᵀ. Pixel i covers [i, i+1) and has its centre at i + 0.5; with s = in/out, output
pixel i lies at (i + 0.5)·s. Weights of one output pixel add up to 1; at the edges, the part of a filter that hangs over
is dropped and the rest is scaled up.

- nearest: the one input pixel that holds the centre, floor((i + 0.5)·s); the later one if it lies between two.
- bilinear: a triangle of half-width max(1, s), so shrinking averages over everything that is covered (anti-aliased).
- bicubic: Keys' cubic with a = -0.5 and half-width 2·max(1, s), anti-aliased too; may overshoot the input's range.
- area: the mean over the exact area [i·s, (i+1)·s) that an output pixel covers.

Bilinear and bicubic are those of Pillow's `resize` and of `tf.image.resize(antialias=True)`; area is that of
`tf.image.resize(method="area")` and, where s is whole, Pillow's BOX. Results are float32 and never rounded in between.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver_agent.versions.manifest import Interpolation

Array = NDArray[Any]
Float32 = NDArray[np.float32]

_BAND_FROM: Final = 512
"""Input sizes from which rows are combined band by band: a dense product would mostly multiply by zero."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How one axis is resampled: `matrix` is [out, in]; row i is 0 outside [starts[i], stops[i])."""

    matrix: Float32
    starts: tuple[int, ...]
    stops: tuple[int, ...]

    @property
    def is_identity(self) -> bool:
        """True when nothing changes."""
        out, size = self.matrix.shape
        return out == size and bool(np.array_equal(self.matrix, np.eye(size, dtype=np.float32)))


def weights(size: int, out: int, interpolation: Interpolation) -> Weights:
    """Computes the weights that take `size` pixels to `out`, both at least 1."""
    step = size / out
    matrix = np.zeros((out, size), np.float64)
    for i in range(out):
        match interpolation:
            case Interpolation.NEAREST:
                matrix[i, (2 * i + 1) * size // (2 * out)] = 1.0
            case Interpolation.AREA:
                _area(matrix[i], i * step, (i + 1) * step)
            case Interpolation.BILINEAR:
                _filtered(matrix[i], (i + 0.5) * step, max(1.0, step), 1.0, _triangle)
            case Interpolation.BICUBIC:
                _filtered(matrix[i], (i + 0.5) * step, max(1.0, step), 2.0, _cubic)
    used = matrix != 0.0
    starts = used.argmax(axis=1)
    stops = size - used[:, ::-1].argmax(axis=1)
    return Weights(matrix.astype(np.float32), tuple(starts.tolist()), tuple(stops.tolist()))


def _area(row: NDArray[np.float64], begin: float, end: float) -> None:
    first, last = math.floor(begin), min(len(row), math.ceil(end))
    for pixel in range(first, last):
        row[pixel] = max(0.0, min(end, pixel + 1) - max(begin, pixel))
    row /= row.sum()


def _filtered(
    row: NDArray[np.float64], centre: float, stretch: float, half_width: float, kernel: Callable[[float], float]
) -> None:
    reach = half_width * stretch
    for pixel in range(max(0, math.floor(centre - reach)), min(len(row), math.ceil(centre + reach))):
        row[pixel] = kernel((pixel + 0.5 - centre) / stretch)
    row /= row.sum()


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    """Keys (1981), "Cubic convolution interpolation for digital image processing", with a = -1/2."""
    a, x = -0.5, abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    if x < 2.0:
        return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    return 0.0


@dataclass(frozen=True, slots=True)
class Resampling:
    """Resampling from one size to another, ready to use on [rows, height, width, channels]."""

    vertical: Weights
    horizontal: Weights

    def __call__(self, images: Array) -> Float32:
        """Gives float32 [rows, out height, out width, channels]."""
        _, height, width, channels = images.shape
        if height >= _BAND_FROM or width >= _BAND_FROM:
            return np.stack([self._one(image) for image in images])
        columns = images.astype(np.float32).reshape(len(images), height, width * channels)
        narrow = np.matmul(self.vertical.matrix, columns).reshape(len(images), -1, width, channels)
        return self._across(narrow)

    def _one(self, image: Array) -> Float32:
        """One large image: each output row from its own band of input rows, then all columns in one product."""
        _, width, channels = image.shape
        flat = image.reshape(image.shape[0], width * channels)
        matrix = self.vertical.matrix
        narrow = np.empty((len(matrix), width * channels), np.float32)
        for i, (start, stop) in enumerate(zip(self.vertical.starts, self.vertical.stops, strict=True)):
            np.matmul(matrix[i, start:stop], flat[start:stop].astype(np.float32), out=narrow[i])
        made: Float32 = self._across(narrow.reshape(1, -1, width, channels))[0]
        return made

    def _across(self, images: Float32) -> Float32:
        if images.shape[3] == 1:
            gray: Float32 = np.matmul(images[..., 0], self.horizontal.matrix.T)
            return gray[..., np.newaxis]
        product: Float32 = np.tensordot(images, self.horizontal.matrix, axes=([2], [1]))
        return np.moveaxis(product, 3, 2)


def resampling(height: int, width: int, out_height: int, out_width: int, interpolation: Interpolation) -> Resampling:
    """Prepares a resampling between two sizes."""
    return Resampling(weights(height, out_height, interpolation), weights(width, out_width, interpolation))


@dataclass(frozen=True, slots=True)
class WholeShrink:
    """Area resampling where each output pixel covers `down` x `across` whole pixels: sums, without any weights.

    Sums of small integers stay integers, so 28 x 28 pixels take a few microseconds to become 14 x 14.
    """

    down: int
    across: int
    total: np.dtype[Any]

    @property
    def share(self) -> float:
        """What the sums must be multiplied by to be means."""
        return 1.0 / (self.down * self.across)

    def __call__(self, images: Array) -> Array:
        """Gives sums, [rows, height / down, width / across, channels]."""
        total = _strided_sum(images, self.down, 1, self.total)
        return _strided_sum(total, self.across, 2, self.total)


def _strided_sum(images: Array, factor: int, axis: int, dtype: np.dtype[Any]) -> Array:
    if factor == 1:
        return images
    before = (slice(None),) * axis
    total: Array = np.add(
        images[(*before, slice(0, None, factor))], images[(*before, slice(1, None, factor))], dtype=dtype
    )
    for k in range(2, factor):
        np.add(total, images[(*before, slice(k, None, factor))], out=total)
    return total


def whole_shrink(height: int, width: int, out_height: int, out_width: int, dtype: np.dtype[Any]) -> WholeShrink | None:
    """Prepares the exact shrink from uint8 or float32 where the sizes allow it, else None."""
    if height % out_height or width % out_width:
        return None
    down, across = height // out_height, width // out_width
    if dtype == np.uint8:
        return WholeShrink(down, across, np.dtype(np.uint16 if down * across <= 257 else np.uint32))
    if dtype == np.float32:
        return WholeShrink(down, across, np.dtype(np.float32))
    return None
