"""Images of digits, moved, turned, scaled and bent: what models learn from besides the digits as they are.

Pure NumPy; images are uint8 [n, side, side, 1] with 0 as background.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]

_AT_ONCE = 5_000
_KNOTS = 6
"""Bends are drawn on a grid of so many points each way, and smooth between them."""


@dataclass(frozen=True)
class Warp:
    """How far images are changed: standard deviations of each change, all drawn by chance for each image.

    `turn` in radians, `move` in pixels, `scale` and `shear` as shares, `bend` in pixels at each knot.
    """

    turn: float = 0.12
    move: float = 0.8
    scale: float = 0.08
    shear: float = 0.08
    bend: float = 1.0


def warped(images: Images, warp: Warp, seed: int) -> Images:
    """A changed copy of each image; the same seed gives the same copies."""
    chance = np.random.default_rng(seed)
    parts = [images[at : at + _AT_ONCE] for at in range(0, len(images), _AT_ONCE)]
    return np.concatenate([_warped(part, warp, chance) for part in parts])


def turned(images: Images, degrees: float) -> Images:
    """The images turned about their middle, to the left."""
    angle = np.full(len(images), np.deg2rad(degrees), np.float32)
    one, none = np.ones_like(angle), np.zeros_like(angle)
    return sampled(images, *_affine(images.shape[1], angle, one, one, none, none, none))


def sampled(images: Images, rows: Floats, columns: Floats) -> Images:
    """New images whose pixels are those at `rows` and `columns`, each [n, side, side], between pixels linearly."""
    count, side = images.shape[:2]
    wide = side + 2
    padded = np.zeros((count, wide, wide), np.float32)
    padded[:, 1:-1, 1:-1] = images[:, :, :, 0]
    flat = padded.reshape(-1)
    row, column = (np.clip(at + np.float32(1), 0, wide - 1.001) for at in (rows, columns))
    top, left = row.astype(np.int32), column.astype(np.int32)
    down, right = row - top, column - left
    at = top * wide + left + (np.arange(count, dtype=np.int32) * (wide * wide))[:, np.newaxis, np.newaxis]
    above = flat[at] * (1 - right) + flat[at + 1] * right
    below = flat[at + wide] * (1 - right) + flat[at + wide + 1] * right
    mixed: Images = np.rint(above * (1 - down) + below * down).astype(np.uint8)
    return mixed[:, :, :, np.newaxis]


def _warped(images: Images, warp: Warp, chance: np.random.Generator) -> Images:
    count, side = images.shape[:2]

    def drawn(spread: float, *shape: int) -> Floats:
        return chance.normal(0.0, spread, (count, *shape)).astype(np.float32)

    tall, broad = np.exp(drawn(warp.scale)), np.exp(drawn(warp.scale))
    rows, columns = _affine(side, drawn(warp.turn), tall, broad, drawn(warp.shear), drawn(warp.move), drawn(warp.move))
    smooth = _smoothing(side)
    rows += smooth @ drawn(warp.bend, _KNOTS, _KNOTS) @ smooth.T
    columns += smooth @ drawn(warp.bend, _KNOTS, _KNOTS) @ smooth.T
    return sampled(images, rows, columns)


def _affine(
    side: int, angle: Floats, tall: Floats, broad: Floats, shear: Floats, down: Floats, right: Floats
) -> tuple[Floats, Floats]:
    """Where each pixel of the new images is taken from: rows and columns, [n, side, side]."""
    middle = np.float32((side - 1) / 2)
    row, column = np.mgrid[0:side, 0:side].astype(np.float32) - middle
    cosine, sine, tall, broad, shear, down, right = (
        part[:, np.newaxis, np.newaxis] for part in (np.cos(angle), np.sin(angle), tall, broad, shear, down, right)
    )
    rows = tall * (cosine * row + sine * column) + down + middle
    columns = broad * (cosine * column - sine * row + shear * row) + right + middle
    return rows, columns


def _smoothing(side: int) -> Floats:
    """Weights [side, knots] that make a smooth curve of values at knots."""
    knots = np.linspace(0, side - 1, _KNOTS)
    width = knots[1] - knots[0]
    weights = np.exp(-0.5 * ((np.arange(side)[:, np.newaxis] - knots) / width) ** 2)
    smooth: Floats = (weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))).astype(np.float32)
    return smooth
