"""Measures .tflite files on digits, chooses their thresholds, and writes manifests and records. Needs TensorFlow.

Thresholds are chosen on the 5,000 tuning digits, which no model was trained on, so that at most a few of them end below
the cloud with another answer than the cloud's. They are what a version starts with and certify nothing; a calibration
replaces them. Accuracies are then measured with the .tflite files on the 10,000 test digits.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from demo.digits import Digits
from demo.warping import Floats

MODELS = Path(__file__).parent / "models"
MODEL = "digits"
DISAGREEMENTS = {"device": 6, "device-better": 6, "device-five": 3, "far-edge": 5, "near-edge": 3}
"""Of the 5,000 tuning digits (device-five: of those below 5), how many may end at a tier with another answer than the
cloud's."""
LABELS = 10
CLOUD_THRESHOLD = 0.5


@dataclass(frozen=True)
class Judged:
    """A model file in its folder below MODELS: its input's side in pixels, its version's name, its parameters, and how
    many digits it knows, from 0 on."""

    folder: str
    side: int
    version: str
    parameters: int
    labels: int = LABELS

    @property
    def file(self) -> Path:
        """The .tflite file."""
        return MODELS / self.folder / "model.tflite"


def answers(path: Path, images: Floats) -> Floats:
    """Probabilities of a .tflite file, [n, 10]; 0 for digits that it does not know."""
    interpreter = tf.lite.Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    parts = [runner(image=images[at : at + 500])["probabilities"] for at in range(0, len(images), 500)]
    known = np.concatenate(parts)
    return np.pad(known, ((0, 0), (0, LABELS - known.shape[1])))


def threshold(probabilities: Floats, top: Floats, allowed: int) -> float:
    """The lowest threshold at which at most `allowed` rows end here with another label than the top's."""
    confidence = probabilities.max(axis=1)
    wrong = np.sort(confidence[probabilities.argmax(axis=1) != top.argmax(axis=1)])[::-1]
    return float(np.nextafter(np.float32(wrong[allowed]), np.float32(2))) if len(wrong) > allowed else 0.0


MANIFEST = """# Made by scripts/train_demo_models.
format = 1
model = "{model}"
version = "{version}"
description = "Handwritten digits, {parameters} parameters, {side}x{side} pixels"

[task]
kind = "classify"
labels = {labels}

[[canonical]]
name = "image"
datatype = "UINT8"
shape = [28, 28, 1]

[[inputs]]
tensor = "image"
from = "image"
{resize}scale = 0.00392156862745098

[outputs]
scores = "probabilities"
scores_are = "probabilities"
embedding = "embedding"

[policy]
score = "max_probability"
temperature = 1.0
threshold = {threshold:.7f}
"""


_MEASURED = "model.tflite on MNIST's 10,000 test digits, and (tune) on 5,000 that only chose the threshold"

Told = tuple[Floats, Floats, Digits]
"""A model's answers and the cloud's to the same digits, and the digits."""


def write_version(model: Judged, tuned: Told, tested: Told) -> float:
    """Writes manifest and record; gives the threshold that was chosen on the tuning digits."""
    seen, cloud, tune = tuned
    allowed = DISAGREEMENTS.get(model.folder)
    chosen = CLOUD_THRESHOLD if allowed is None else threshold(seen, cloud, allowed)
    resize = ""
    if model.side != 28:
        resize = f'resize = {{ height = {model.side}, width = {model.side}, interpolation = "area" }}\n'
    (MODELS / model.folder / "manifest.toml").write_text(
        MANIFEST.format(
            model=MODEL,
            version=model.version,
            parameters=f"{model.parameters:,}",
            side=model.side,
            labels=json.dumps([str(label) for label in range(model.labels)]),
            resize=resize,
            threshold=chosen,
        )
    )
    facts = {
        "accuracy": accuracy(tested[0], tested[2]),
        "disagrees_with_cloud": round(float((tested[0].argmax(axis=1) != tested[1].argmax(axis=1)).mean()), 4),
        "accuracy_tune": accuracy(seen, tune),
        "share_answered_tune": round(float((seen.max(axis=1) >= chosen).mean()), 4),
        "threshold": round(chosen, 7),
        "parameters": model.parameters,
        "model_bytes": model.file.stat().st_size,
        "measured": _MEASURED if model.labels == LABELS else f"{_MEASURED}; digits below {model.labels} alone",
    }
    (MODELS / model.folder / "accuracy.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(model.folder, facts, flush=True)
    return chosen


def accuracy(probabilities: Floats, digits: Digits) -> float:
    """The share of digits whose most probable label is right."""
    return round(float((probabilities.argmax(axis=1) == digits.labels).mean()), 4)
