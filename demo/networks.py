"""The demo's networks, one for each tier, and how each is trained and converted. Needs TensorFlow.

What counts below the top is how often a tier says what the cloud says. Of the test digits they say something else to:

- device: 1.6 % after 12 passes, 1.5 % after 16; 1.4 % refined (24 more of its last two layers);
- far edge: 0.4 % after 12 passes;
- near edge: 0.7 % after 6 passes, 0.4 % after 12.

With labels instead of the cloud's answers, no warped copies and wide dense layers, 93.6 % could be certified to end on
device or far edge at 0.5 %, of 5,000 digits; so it is 99.3 %.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tensorflow import keras

SEED = 11


@dataclass(frozen=True)
class Recipe:
    """How one tier's model is made.

    `side` is its input's, in pixels; its layers end in an embedding [n, width]. It sees the training digits `passes`
    times, in batches of `batch`. `quantise` is weights alone, or activations too and only the last layer in floats.
    """

    tier: str
    side: int
    layers: Callable[[], list[keras.layers.Layer]]
    passes: int
    batch: int
    rate: float
    quantise: Literal["no", "weights", "int8"]


def conv(filters: int, stride: int = 1) -> list[keras.layers.Layer]:
    """A 3x3 convolution with batch normalisation; the converter folds the latter in."""
    return [
        keras.layers.Conv2D(filters, 3, stride, "same", use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
    ]


def _device() -> list[keras.layers.Layer]:
    return [*conv(8), *conv(12, 2), *conv(10, 2), keras.layers.Flatten()]


def _far_edge() -> list[keras.layers.Layer]:
    return [*conv(16), *conv(24, 2), *conv(32), *conv(48, 2), keras.layers.GlobalAveragePooling2D()]


def _near_edge() -> list[keras.layers.Layer]:
    return [*conv(16), *conv(32, 2), *conv(48), *conv(80, 2), keras.layers.GlobalAveragePooling2D()]


def _cloud() -> list[keras.layers.Layer]:
    deep = [*conv(16), *conv(32, 2), *conv(48), *conv(64, 2), *conv(96)]
    return [*deep, keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2)]


RECIPES = (
    Recipe("device", 14, _device, 16, 256, 4e-3, "no"),
    Recipe("far-edge", 20, _far_edge, 12, 128, 3e-3, "int8"),
    Recipe("near-edge", 28, _near_edge, 12, 128, 3e-3, "int8"),
    Recipe("cloud", 28, _cloud, 13, 128, 3e-3, "weights"),
)
"""From the bottom to the top, whose answers the others learn."""


def build(recipe: Recipe) -> keras.Model:
    """The untrained network: image, 0..1, to (probabilities, embedding, logits)."""
    image = keras.Input((recipe.side, recipe.side, 1), name="image")
    x = image
    for layer in recipe.layers():
        x = layer(x)
    logits = keras.layers.Dense(10)(x)
    return keras.Model(image, [keras.layers.Softmax()(logits), x, logits])
