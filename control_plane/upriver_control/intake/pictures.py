"""Data in a folder of images: flat, or in one folder for each label."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from upriver.errors import InvalidInput
from upriver.images import open_image, to_pixels
from upriver_control.intake.contract import Input
from upriver_control.intake.rows import Batch, Data, only_picture

SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_TOGETHER: Final = 32
_MAX_BYTES: Final = 64 << 20


def find_pictures(folder: Path) -> tuple[tuple[Path, str | None], ...]:
    """The images in a folder, sorted, with their labels: the names of the folders that they are in, None at the top.

    Raises InvalidInput where some lie in folders and others do not.
    """
    flat = [(path, None) for path in sorted(folder.iterdir()) if _is_picture(path)]
    inside = [
        (path, below.name)
        for below in sorted(folder.iterdir())
        if below.is_dir()
        for path in sorted(below.iterdir())
        if _is_picture(path)
    ]
    if flat and inside:
        raise InvalidInput(
            f"{folder}: {flat[0][0].name} lies beside folders with images; expected all in folders named as"
            " their labels, or none"
        )
    return tuple(flat or inside)


def open_pictures(folder: Path, found: Sequence[tuple[Path, str | None]], contract: Sequence[Input]) -> Data:
    """Opens images that were found in a folder; raises InvalidInput naming the file that does not fit."""
    wanted = only_picture(contract, str(folder))
    labelled = found[0][1] is not None
    return Data(f"{len(found)} images", len(found), labelled, _all(found, wanted, folder, labelled))


def _all(found: Sequence[tuple[Path, str | None]], wanted: Input, folder: Path, labelled: bool) -> Iterator[Batch]:
    for start in range(0, len(found), _TOGETHER):
        some = found[start : start + _TOGETHER]
        rows = np.empty(len(some), object)
        rows[:] = [_content(path, wanted, folder) for path, _ in some]
        array = rows if wanted.encoded else np.stack(list(rows))
        yield Batch({wanted.name: array}, tuple(label or "" for _, label in some) if labelled else None)


def _content(path: Path, wanted: Input, folder: Path) -> object:
    what = str(path.relative_to(folder))
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInput(f"{what}: {path.stat().st_size} bytes; at most {_MAX_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{what}: can't be read: {error.strerror}") from error
    if wanted.encoded:
        return content
    return pixels(content, wanted, what)


def pixels(content: bytes, wanted: Input, what: str) -> object:
    """An encoded image as pixels of the contract's size; raises InvalidInput when it has another."""
    image = open_image(content, what)
    height, width = wanted.shape[:2]
    if image.size != (width, height):
        raise InvalidInput(
            f"{what}: {image.width}x{image.height} pixels; the model takes {width}x{height}: scale images before"
        )
    return to_pixels(image, wanted.shape, what)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
