"""Images on their way into a model's contract. The only module of the client that uses Pillow (extra `images`).

An image becomes a UINT8 tensor [height, width], [height, width, 1] (gray) or [height, width, 3] (RGB): it is turned
upright as its EXIF says, converted with Pillow's weights for gray, and resized with bilinear interpolation over the
whole area of each pixel. For a contract of encoded images a file goes as it is, and pixels go as PNG.
"""

import io
import struct
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from upriver.errors import InvalidInput, RuntimeMissing
from upriver.tensors import Array, Datatype

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 1 << 26
"""Larger images are refused before they are decoded."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded here. Formats whose decoders start other programs or are rarely seen are left out."""
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error)  # what Pillow raises for broken content
_MODES = {0: "L", 1: "L", 3: "RGB"}


def is_image(value: object) -> "TypeGuard[Image]":
    """Whether a value is a PIL image; does not import Pillow."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def takes_images(datatype: str, shape: Sequence[int]) -> bool:
    """Whether an image can be made into a row of this data type and shape."""
    channels = 0 if len(shape) == 2 else shape[2] if len(shape) == 3 else -1
    return datatype == Datatype.UINT8 and channels in _MODES and min(shape[:2]) > 0


def open_image(content: bytes, what: str) -> "Image":
    """Opens an encoded image; raises InvalidInput, calling it `what`, when it is none or too large."""
    pillow = _pillow()
    try:
        image: Image = pillow.open(io.BytesIO(content), formats=FORMATS)
    except pillow.DecompressionBombError as error:
        raise InvalidInput(f"{what}: {error}") from error
    except _BROKEN as error:
        raise InvalidInput(
            f"{what} is no image ({len(content)} bytes); expected one of {', '.join(FORMATS)}"
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise InvalidInput(f"{what} has {image.width}x{image.height} pixels; at most {MAX_PIXELS} are allowed")
    return image


def to_pixels(image: "Image", shape: Sequence[int], what: str) -> Array:
    """Makes a UINT8 array of `shape`, for which `takes_images` holds; raises InvalidInput for a broken image."""
    pillow = _pillow()
    from PIL import ImageOps

    height, width = shape[:2]
    try:
        upright = ImageOps.exif_transpose(image)
        converted = upright.convert(_MODES[shape[2] if len(shape) == 3 else 0])
        if converted.size != (width, height):
            converted = converted.resize((width, height), pillow.Resampling.BILINEAR)
    except _BROKEN as error:
        raise InvalidInput(f"{what} is a broken image: {error}") from error
    return np.asarray(converted, np.uint8).reshape(tuple(shape))


def to_png(image: "Image", what: str) -> bytes:
    """Encodes an image without loss; raises InvalidInput when it can't be."""
    encoded = io.BytesIO()
    try:
        image.save(encoded, format="PNG")
    except _BROKEN as error:
        raise InvalidInput(f"{what}: an image of mode {image.mode} can't be sent as PNG: {error}") from error
    return encoded.getvalue()


def pixels_to_png(pixels: Array, what: str) -> bytes:
    """Encodes UINT8 pixels [height, width], [height, width, 1] or [height, width, 3] as PNG."""
    if not takes_images(Datatype.UINT8, pixels.shape):
        raise InvalidInput(f"{what} of shape {list(pixels.shape)}: expected pixels [height, width, 1 or 3]")
    squeezed = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return to_png(_pillow().fromarray(np.ascontiguousarray(squeezed)), what)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise RuntimeMissing("to read images Pillow is needed: pip install 'upriver[images]'") from error
    return Image
