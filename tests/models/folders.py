"""Version folders for tests: one of the models beside this file with a manifest."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent
TEN = [f"class-{index}" for index in range(10)]

CLASSIFIER = """
format = 1
model = "shapes"
version = "one"
description = "nothing in particular"

[task]
kind = "classify"
labels = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]

[[canonical]]
name = "image"
datatype = "UINT8"
shape = [28, 28, 1]

[[inputs]]
tensor = "image"
from = "image"
resize = { height = 14, width = 14, interpolation = "area" }
scale = 0.00392156862745098

[outputs]
scores = "probabilities"
scores_are = "probabilities"

[policy]
score = "max_probability"
temperature = 1.0
threshold = 0.9
"""
ENCODED = CLASSIFIER.replace(
    'datatype = "UINT8"\nshape = [28, 28, 1]', 'datatype = "BYTES"\nencoding = "image"'
).replace('interpolation = "area" }', 'interpolation = "area" }\ncolour = "gray"')
DETECTOR = """
format = 1
model = "things"
version = "one"

[task]
kind = "detect"
labels = ["thing", "other"]

[[canonical]]
name = "image"
datatype = "FP32"
shape = [16, 16, 1]

[[inputs]]
tensor = "image"
from = "image"

[outputs]
boxes = "boxes"
classes = "classes"
scores = "scores"
count = "count"

[policy]
score = "best_box"
threshold = 0.5
box_threshold = 0.3
"""
SCALAR = """
format = 1
model = "risk"
version = "one"

[task]
kind = "scalar"

[[canonical]]
name = "features"
datatype = "FP32"
shape = [8]

[[inputs]]
tensor = "features"
from = "features"

[outputs]
value = "value"

[policy]
score = "scalar"
threshold = 0.5
"""


def version_folder(at: Path, model: str, manifest: str = CLASSIFIER) -> Path:
    """Makes the folder `at` a version of one of the models here (named without .tflite); gives `at`."""
    at.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / f"{model}.tflite", at / "model.tflite")
    (at / "manifest.toml").write_text(manifest)
    return at


def without(manifest: str, *keys: str) -> str:
    """Gives a manifest without the lines that set these keys."""
    return "\n".join(line for line in manifest.splitlines() if line.split("=")[0].strip() not in keys)
