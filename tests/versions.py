"""Versions for the tests, made of the small .tflite files in tests/models."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

MODELS = Path(__file__).parent / "models"
LABELS = tuple(f"class-{index}" for index in range(10))


def make_version(
    folder: Path,
    version: str,
    threshold: float | str,
    *,
    model: str = "pattern",
    labels: Sequence[str] = LABELS,
    file: str = "float_embedding.tflite",
    policy: str = "",
) -> Path:
    """A classifier of 14x14 gray images that answers here iff its largest probability is at least `threshold`."""
    made = folder / f"version-{version}"
    made.mkdir(parents=True)
    shutil.copy(MODELS / file, made / "model.tflite")
    embedding = 'embedding = "embedding"' if file == "float_embedding.tflite" else ""
    (made / "manifest.toml").write_text(f"""
format = 1
model = "{model}"
version = "{version}"
[task]
kind = "classify"
labels = {json.dumps(list(labels))}
[[canonical]]
name = "image"
datatype = "FP32"
shape = [14, 14, 1]
[[inputs]]
tensor = "image"
from = "image"
[outputs]
scores = "probabilities"
{embedding}
[policy]
score = "max_probability"
threshold = {threshold}
{policy}
""")
    return made


MIB = 1 << 20


def pad(version: Path, size_bytes: int, seed: int) -> Path:
    """Puts random bytes behind a version's model, which no runtime reads: as large as wanted, as quick as before."""
    with (version / "model.tflite").open("ab") as file:
        file.write(np.random.default_rng(seed).bytes(size_bytes))
    return version
