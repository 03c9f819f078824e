"""Trains the demo's four models and writes them as versions into demo/models. Needs TensorFlow (the `train` extra).

Each model is a small convolutional network that also puts out its embedding. Thresholds are chosen on 5,000 digits that
no model was trained on, so that at most a few of them end below the cloud with another answer than the cloud's.
Accuracies are then measured with the .tflite files on the 10,000 test digits and recorded beside them.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from demo.digits import Digits, load_holdout, load_test, load_train

MODELS = Path(__file__).parent / "models"
MODEL = "digits"
SEED = 11
DISAGREEMENTS = {"device": 6, "far-edge": 5, "near-edge": 3}
"""Of the 5,000 holdout digits, how many may end at a tier with another answer than the cloud's."""
CLOUD_THRESHOLD = 0.5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How one tier's model is made. `side` is its input's, in pixels; `quantise` weights alone or activations too."""

    tier: str
    side: int
    layers: Callable[[], list[keras.layers.Layer]]
    embedding: int
    epochs: int
    quantise: Literal["no", "weights", "int8"]
    augment: bool


def conv(filters: int, stride: int = 1) -> list[keras.layers.Layer]:
    """A 3x3 convolution with batch normalisation; the converter folds the latter in."""
    return [
        keras.layers.Conv2D(filters, 3, stride, "same", use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
    ]


RECIPES = (
    Recipe("device", 14, lambda: [*conv(8), *conv(12, 2), *conv(10, 2)], 0, 6, "no", False),
    Recipe("far-edge", 20, lambda: [*conv(16, 2), *conv(32, 2)], 32, 8, "int8", False),
    Recipe("near-edge", 28, lambda: [*conv(16, 2), *conv(32), *conv(48, 2)], 48, 6, "int8", True),
    Recipe("cloud", 28, lambda: [*conv(24), *conv(32, 2), *conv(48), *conv(64, 2), *conv(64)], 128, 9, "weights", True),
)


def at_side(digits: Digits, side: int) -> Floats:
    """The images as the version's manifest makes them: [n, side, side, 1], 0..1."""
    images = digits.images.astype(np.float32) / np.float32(255)
    return images if side == images.shape[1] else np.asarray(tf.image.resize(images, [side, side], method="area"))


def build(recipe: Recipe) -> keras.Model:
    """The untrained network: image to (probabilities, embedding)."""
    image = keras.Input((recipe.side, recipe.side, 1), name="image")
    x = image
    for layer in recipe.layers():
        x = layer(x)
    x = keras.layers.Flatten()(x)
    if recipe.embedding:
        x = keras.layers.Dense(recipe.embedding, "relu")(x)
    probabilities = keras.layers.Dense(10, "softmax")(keras.layers.Dropout(0.3)(x))
    return keras.Model(image, [probabilities, x])


def train(recipe: Recipe, digits: Digits) -> keras.Model:
    """Trains with Adam and a cosine schedule; shows Keras' progress."""
    keras.utils.set_random_seed(SEED)
    model = build(recipe)
    images, labels = at_side(digits, recipe.side), digits.labels
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(labels), seed=SEED).batch(128)
    if recipe.augment:
        moved = keras.Sequential(
            [
                keras.layers.RandomRotation(0.03, seed=SEED),
                keras.layers.RandomTranslation(0.08, 0.08, seed=SEED),
                keras.layers.RandomZoom(0.08, seed=SEED),
            ]
        )
        dataset = dataset.map(lambda x, y: (moved(x, training=True), y), num_parallel_calls=2)
    classifier = keras.Model(model.input, model.outputs[0])
    steps = recipe.epochs * -(-len(labels) // 128)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    classifier.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(dataset.prefetch(2), epochs=recipe.epochs, verbose=2)
    return model


def convert(model: keras.Model, recipe: Recipe, sample: Floats) -> bytes:
    """The .tflite file: a free number of rows, outputs by name, float at the edges."""
    shape = tf.TensorSpec([None, recipe.side, recipe.side, 1], tf.float32, name="image")
    frozen = convert_variables_to_constants_v2(
        tf.function(lambda image: model(image, training=False)).get_concrete_function(shape)
    )

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities, embedding = frozen(image)
        return {"probabilities": probabilities, "embedding": embedding}

    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[shape])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    if recipe.quantise != "no":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.quantise == "int8":
        converter.representative_dataset = lambda: ([sample[i : i + 1]] for i in range(300))
    return bytes(converter.convert())


def answers(path: Path, images: Floats) -> Floats:
    """Probabilities of a .tflite file, [n, 10]."""
    interpreter = tf.lite.Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    return np.concatenate([runner(image=images[at : at + 500])["probabilities"] for at in range(0, len(images), 500)])


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
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]

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


def main() -> None:
    """Trains, converts, chooses thresholds, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[recipe.tier for recipe in RECIPES], action="append", help="train only these")
    arguments = parser.parse_args()
    digits, holdout, test = load_train(), load_holdout(), load_test()
    parameters: dict[str, int] = {}
    for recipe in RECIPES:
        folder = MODELS / recipe.tier
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.only and recipe.tier not in arguments.only and (folder / "model.tflite").exists():
            continue
        started = time.monotonic()
        print(f"== {recipe.tier}", flush=True)
        model = train(recipe, digits)
        parameters[recipe.tier] = model.count_params()
        (folder / "model.tflite").write_bytes(convert(model, recipe, at_side(digits.part(0, 300), recipe.side)))
        print(f"{recipe.tier}: trained and converted in {time.monotonic() - started:.0f} s", flush=True)
    publish(parameters, holdout, test)


def publish(parameters: dict[str, int], holdout: Digits, test: Digits) -> None:
    """Chooses thresholds on the holdout, measures on the test digits, writes manifests and records."""
    seen = {recipe.tier: answers(_file(recipe), at_side(holdout, recipe.side)) for recipe in RECIPES}
    tested = {recipe.tier: answers(_file(recipe), at_side(test, recipe.side)) for recipe in RECIPES}
    for recipe in RECIPES:
        record = MODELS / recipe.tier / "accuracy.json"
        known = json.loads(record.read_text()) if record.exists() else {}
        count = parameters.get(recipe.tier, known.get("parameters", 0))
        allowed = DISAGREEMENTS.get(recipe.tier)
        chosen = CLOUD_THRESHOLD if allowed is None else threshold(seen[recipe.tier], seen["cloud"], allowed)
        resize = ""
        if recipe.side != 28:
            resize = f'resize = {{ height = {recipe.side}, width = {recipe.side}, interpolation = "area" }}\n'
        (MODELS / recipe.tier / "manifest.toml").write_text(
            MANIFEST.format(
                model=MODEL,
                version=f"{recipe.tier}-{recipe.side}px",
                parameters=f"{count:,}",
                side=recipe.side,
                resize=resize,
                threshold=chosen,
            )
        )
        facts = {
            "accuracy": accuracy(tested[recipe.tier], test),
            "accuracy_holdout": accuracy(seen[recipe.tier], holdout),
            "share_answered_holdout": float((seen[recipe.tier].max(axis=1) >= chosen).mean()),
            "threshold": round(chosen, 7),
            "parameters": count,
            "model_bytes": _file(recipe).stat().st_size,
            "measured": "model.tflite on MNIST's 10,000 test digits (accuracy) and 5,000 held out of training",
        }
        record.write_text(json.dumps(facts, indent=2) + "\n")
        print(recipe.tier, facts, flush=True)
    report_cascade(tested, test)


def report_cascade(tested: dict[str, Floats], test: Digits) -> None:
    """Prints what the cascade makes of the test digits."""
    left = np.ones(len(test), bool)
    labels = np.zeros(len(test), np.int64)
    for recipe in RECIPES:
        limit = json.loads((MODELS / recipe.tier / "accuracy.json").read_text())["threshold"]
        here = left & (tested[recipe.tier].max(axis=1) >= limit) if recipe.tier != "cloud" else left
        labels[here] = tested[recipe.tier].argmax(axis=1)[here]
        print(f"{recipe.tier}: answers {here.mean():.2%}")
        left &= ~here
    print(f"cascade: {float((labels == test.labels).mean()):.4f}")


def accuracy(probabilities: Floats, digits: Digits) -> float:
    """The share of digits whose most probable label is right."""
    return round(float((probabilities.argmax(axis=1) == digits.labels).mean()), 4)


def _file(recipe: Recipe) -> Path:
    return MODELS / recipe.tier / "model.tflite"


if __name__ == "__main__":
    main()
