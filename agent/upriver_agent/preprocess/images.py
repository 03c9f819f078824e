"""Decoding JPEG and PNG files: the only module that imports Pillow.

A file is refused from its header alone when it has too many pixels, before anything is decoded.
"""

import io
import struct
import warnings
import zlib
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput, RuntimeMissing
from upriver_agent.versions.manifest import Colour

FORMATS: Final = ("JPEG", "PNG")
MAX_SIDE: Final = 65_535


class ImageDecoder:
    """Decodes to the wanted colours, upright (EXIF orientation), 8 bits a channel; transparency is dropped."""

    __slots__ = ("_image", "_max_pixels", "_mode", "_ops")

    def __init__(self, colour: Colour, max_pixels: int) -> None:
        self._image, self._ops = _pillow()
        self._mode = "L" if colour is Colour.GRAY else "RGB"
        self._max_pixels = max_pixels

    def decode(self, name: str, row: int, content: object) -> NDArray[np.uint8]:
        """Gives [height, width, channels]; raises InvalidInput for anything but a whole JPEG or PNG within bounds."""
        if not isinstance(content, bytes):
            raise InvalidInput(f"input {name!r}, row {row}: expected the bytes of a JPEG or PNG file")
        try:
            return self._decoded(content)
        except _Refused as error:
            raise InvalidInput(f"input {name!r}, row {row}: {error}") from error
        except self._image.DecompressionBombError as error:
            raise InvalidInput(f"input {name!r}, row {row}: more than {self._max_pixels} pixels") from error
        # What Pillow's JPEG and PNG readers raise for broken files, by their sources.
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError) as error:
            raise InvalidInput(
                f"input {name!r}, row {row}: not a whole {' or '.join(FORMATS)} file ({len(content)} bytes): {error}"
            ) from error

    def _decoded(self, content: bytes) -> NDArray[np.uint8]:
        with self._image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > self._max_pixels or max(width, height) > MAX_SIDE:
                raise _Refused(f"{width} x {height} pixels; at most {self._max_pixels} pixels are allowed")
            image.load()
            upright = self._ops.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would cut off, not scale
                gray = np.asarray(upright, np.int32) >> 8
                pixels = np.clip(gray, 0, 255).astype(np.uint8)[..., np.newaxis]
                return pixels if self._mode == "L" else np.repeat(pixels, 3, axis=2)
            pixels = np.asarray(upright if upright.mode == self._mode else upright.convert(self._mode))
        return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


class _Refused(Exception):
    """An image that could be decoded and must not be."""


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise RuntimeMissing("this model takes encoded images, which needs Pillow: install upriver[images]") from error
    # Pillow warns of what it finds odd in a file, and what callers send must not fill the agent's log. One filter for
    # the process: suppressing warnings around each call is not safe with threads.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    modules: tuple[ModuleType, ModuleType] = (Image, ImageOps)
    return modules
