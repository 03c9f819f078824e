"""The device's model that knows the digits 0 to 4 alone: what it was never shown it has to learn where it runs.

What a head can learn later is what the embedding tells apart. Five digits ask little of one, so that each is learnt in
all eight ways in which a square can be turned and mirrored, as labels of their own: strokes that no upright digit of
the five has are then told apart as well. What answers is a last layer of five labels on that embedding, fitted to
upright digits. Needs TensorFlow.

Of the five digits it says what the cloud says to 99.0 %; how far heads on it come is measured by `scripts/bench
learning`.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import keras

from demo.digits import Digits
from demo.learning import COPIES, scaled
from demo.networks import SEED, Recipe, conv
from demo.streams import KNOWN, SHOWN
from demo.warping import Images, Warp, warped
from upriver.head_statistics import HeadStatistics

WIDTH = 128
_TURNS, _WAYS = 4, 8
_UPRIGHT_PASSES = 3


def _layers() -> list[keras.layers.Layer]:
    return [*conv(12, 2), *conv(24), *conv(48, 2), *conv(WIDTH), keras.layers.GlobalAveragePooling2D(name="embedding")]


RECIPE = Recipe("device-five", 28, _layers, 16, 128, 3e-3, "weights")


def shown(digits: Digits) -> Digits:
    """Those of the training digits that it is trained on."""
    part = digits.part(0, SHOWN)
    known = part.labels < KNOWN
    return Digits(part.images[known], part.labels[known])


def train_five(digits: Digits) -> keras.Model:
    """Trains it on digits that are `shown`: image to (probabilities of 0 to 4, embedding), outputs by those names."""
    keras.utils.set_random_seed(SEED)
    image = keras.Input((RECIPE.side, RECIPE.side, 1), name="image")
    x = image
    for layer in _layers():
        x = layer(x)
    backbone = keras.Model(image, x)
    _learn_ways(backbone, digits)
    backbone.trainable = False
    logits = keras.layers.Dense(KNOWN)(backbone.output)
    upright = keras.Model(image, logits)
    upright.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for number in range(_UPRIGHT_PASSES):
        images = warped(digits.images, Warp(), SEED + COPIES + 1 + number)
        upright.fit(scaled(images, RECIPE.side), digits.labels, batch_size=RECIPE.batch, verbose=0)
    backbone.trainable = True  # whoever trains it further trains all of it
    return keras.Model(image, [keras.layers.Softmax(name="probabilities")(logits), backbone.output])


def statistics_of(file: Path, digits: Digits) -> HeadStatistics:
    """The sums over digits that heads on a .tflite file start from, with the file's own embedding."""
    runner = tf.lite.Interpreter(str(file)).get_signature_runner()
    images = scaled(digits.images, RECIPE.side)
    parts = [runner(image=images[at : at + 500])["embedding"] for at in range(0, len(images), 500)]
    embedding = np.concatenate(parts).astype(np.float16).astype(np.float64)
    h = np.hstack([embedding, np.ones((len(embedding), 1))])
    return HeadStatistics(tuple(str(label) for label in range(KNOWN)), h.T @ h, h.T @ np.eye(KNOWN)[digits.labels])


def _learn_ways(backbone: keras.Model, digits: Digits) -> None:
    chance = np.random.default_rng(SEED)
    model = keras.Model(backbone.input, keras.layers.Dense(KNOWN * _WAYS)(keras.layers.Dropout(0.1)(backbone.output)))
    steps = RECIPE.passes * -(-len(digits) // RECIPE.batch)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RECIPE.rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for number in range(RECIPE.passes):
        ways = chance.integers(0, _WAYS, len(digits))
        images = _in_ways(warped(digits.images, Warp(), SEED + number), ways)
        labels = digits.labels + KNOWN * ways
        seen = model.fit(scaled(images, RECIPE.side), labels, batch_size=RECIPE.batch, verbose=0)
        loss = seen.history["loss"][0]
        print(f"{RECIPE.tier}: pass {number + 1} of {RECIPE.passes}, loss {loss:.4f}", flush=True)


def _in_ways(images: Images, ways: NDArray[np.int64]) -> Images:
    """Each image in one of eight ways: turned by quarters, the last four mirrored besides."""
    made = images.copy()
    for way in range(_WAYS):
        part = np.rot90(images[ways == way], way % _TURNS, axes=(1, 2))
        made[ways == way] = part[:, :, ::-1] if way >= _TURNS else part
    return made
