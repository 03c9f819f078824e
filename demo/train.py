"""Trains the demo's models and writes them as versions into demo/models. Needs TensorFlow (the `train` extra).

Each model is a small convolutional network that also puts out its embedding. There is one for each tier, and a better
one for the device, which `demo/refine.py` makes of the first; `demo/judging.py` chooses thresholds and measures.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from demo.digits import Digits, load_holdout, load_test, load_train
from demo.judging import MODELS, Floats, Judged, answers, at_side, write_version
from demo.refine import SEED, moving, refine

BETTER = "device-better"


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
        moved = moving()
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


def main() -> None:
    """Trains, converts, refines, chooses thresholds, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*(recipe.tier for recipe in RECIPES), BETTER]
    parser.add_argument("--only", choices=names, action="append", help="make only these")
    arguments = parser.parse_args()
    digits, holdout, test = load_train(), load_holdout(), load_test()
    parameters: dict[str, int] = {}
    for recipe in RECIPES:
        if _is_skipped(recipe.tier, arguments.only):
            continue
        started = time.monotonic()
        print(f"== {recipe.tier}", flush=True)
        model = train(recipe, digits)
        parameters[recipe.tier] = model.count_params()
        _file(recipe.tier).write_bytes(convert(model, recipe, at_side(digits.part(0, 300), recipe.side)))
        print(f"{recipe.tier}: trained and converted in {time.monotonic() - started:.0f} s", flush=True)
    if "device" in parameters or not _is_skipped(BETTER, arguments.only):  # it is made of the device's
        print(f"== {BETTER}", flush=True)
        _file(BETTER).write_bytes(refine(_file("device"), _file("cloud"), RECIPES[0].side, digits))
    publish(parameters, holdout, test)


def publish(parameters: dict[str, int], holdout: Digits, test: Digits) -> None:
    """Chooses thresholds on the holdout, measures on the test digits, writes manifests and records."""
    device = RECIPES[0]
    models = [_judged(recipe.tier, recipe.side, f"{recipe.tier}-{recipe.side}px", parameters) for recipe in RECIPES]
    models.append(_judged(BETTER, device.side, f"device-{device.side}px-better", {BETTER: models[0].parameters}))
    seen = {model.folder: answers(model.file, at_side(holdout, model.side)) for model in models}
    tested = {model.folder: answers(model.file, at_side(test, model.side)) for model in models}
    limits = {
        model.folder: write_version(
            model, seen[model.folder], tested[model.folder], seen[RECIPES[-1].tier], holdout, test
        )
        for model in models
    }
    for first in (device.tier, BETTER):
        report_cascade((first, *(recipe.tier for recipe in RECIPES[1:])), tested, limits, test)


def report_cascade(ladder: Sequence[str], tested: dict[str, Floats], limits: dict[str, float], test: Digits) -> None:
    """Prints what the cascade makes of the test digits."""
    left = np.ones(len(test), bool)
    labels = np.zeros(len(test), np.int64)
    for name in ladder:
        here = left & (tested[name].max(axis=1) >= limits[name]) if name != ladder[-1] else left
        labels[here] = tested[name].argmax(axis=1)[here]
        print(f"{name}: answers {here.mean():.2%}")
        left &= ~here
    print(f"cascade from {ladder[0]}: {float((labels == test.labels).mean()):.4f}")


def _judged(folder: str, side: int, version: str, parameters: dict[str, int]) -> Judged:
    record = MODELS / folder / "accuracy.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    return Judged(folder, side, version, parameters.get(folder, known.get("parameters", 0)))


def _is_skipped(name: str, only: Sequence[str] | None) -> bool:
    return bool(only) and name not in (only or ()) and _file(name).exists()


def _file(name: str) -> Path:
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "model.tflite"


if __name__ == "__main__":
    main()
