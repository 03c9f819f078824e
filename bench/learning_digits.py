"""What the demo's device that knows five digits, and the cloud, make of all 65,000 digits: the bench's data."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.learning_loop import Seen
from demo.control import MODELS
from demo.digits import Digits, load_all
from upriver.errors import ModelInvalid
from upriver.head_statistics import HeadStatistics, read_statistics
from upriver_agent.predictor import Prediction, open_predictor
from upriver_agent.versions import open_version

DEVICE: Final = MODELS / "device-five"
TOP: Final = MODELS / "cloud"
LABELS: Final = tuple(str(digit) for digit in range(10))
_BATCH = 500

Progress = Callable[[float], None]
"""Told the share that is done."""


def seen(progress: Progress) -> Seen:
    """Runs both models over all digits; raises DigitsMissing, or ModelInvalid for a model without what is needed."""
    digits = load_all()
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder:
        device = _predictions(DEVICE, digits, Path(folder), lambda share: progress(share / 2))
        top = _predictions(TOP, digits, Path(folder), lambda share: progress((1 + share) / 2))
    return Seen(
        _joined([one.embedding for one in device]).astype(np.float16),
        _joined([one.scores for one in device]).astype(np.float64),
        _joined([one.scores for one in top]).astype(np.float64),
        digits.labels,
    )


def prior() -> HeadStatistics:
    """The sums that heads start from, with a column for every digit."""
    with np.load(DEVICE / "prior.npz") as arrays:
        return read_statistics(dict(arrays)).widened(LABELS)


def _predictions(version: Path, digits: Digits, folder: Path, progress: Progress) -> list[Prediction]:
    predictor = open_predictor(open_version(version, folder))
    found = []
    for at in range(0, len(digits), _BATCH):
        found.append(predictor.predict({"image": digits.images[at : at + _BATCH]}))
        progress(at / len(digits))
    return found


def _joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any]:
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        raise ModelInvalid("the demo's models have no scores or no embedding: make them with scripts/train_demo_models")
    return np.concatenate(found)
