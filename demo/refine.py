"""Makes a better device model of the one there is: its last two layers learn on from the cloud's answers.

The first two layers stay as they are, byte for byte, and so does the rest of the file: what a device that runs the one
has to fetch for the other is little more than the layers that changed. Needs TensorFlow.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import keras

from demo.digits import Digits
from demo.judging import Floats, answers
from demo.weights import Layer, read_layers, with_layers

SEED = 11
EPOCHS = 20
COPIES = 2
"""Moved, turned and scaled copies of each training digit, besides the digit itself."""
STRIDES = (1, 2, 2)
_STEP = 2000


def moving() -> keras.Sequential:
    """Layers that turn, move and scale images a little, by chance."""
    return keras.Sequential(
        [
            keras.layers.RandomRotation(0.03, seed=SEED),
            keras.layers.RandomTranslation(0.08, 0.08, seed=SEED),
            keras.layers.RandomZoom(0.08, seed=SEED),
        ]
    )


def refine(device: Path, cloud: Path, side: int, digits: Digits) -> bytes:
    """The device model's file with its last convolution and its dense layer trained further.

    What is learnt is the mean of the label and of the cloud's answer to the same image.
    """
    keras.utils.set_random_seed(SEED)
    content = device.read_bytes()
    layers = read_layers(content)
    images, labels = _copies(digits)
    wanted = (answers(cloud, images) + np.eye(10, dtype=np.float32)[labels]) / 2
    model = _network(layers, side)
    dataset = tf.data.Dataset.from_tensor_slices((_at_side(images, side), wanted))
    dataset = dataset.shuffle(len(labels), seed=SEED).batch(256).prefetch(2)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * -(-len(labels) // 256))
    model.compile(keras.optimizers.Adam(rate), keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(dataset, epochs=EPOCHS, verbose=2)
    trained = [_layer(layer) for layer in model.layers if layer.weights]
    return with_layers(content, [*layers[:-2], *trained[-2:]])


def _network(layers: list[Layer], side: int) -> keras.Model:
    """The device's network up to its logits, with the weights of a file; only the last two layers learn."""
    image = keras.Input((side, side, 1))
    x = image
    for layer, stride in zip(layers, STRIDES, strict=False):
        x = keras.layers.Conv2D(len(layer.bias), 3, stride, "same", activation="relu")(x)
    model = keras.Model(image, keras.layers.Dense(len(layers[-1].bias))(keras.layers.Flatten()(x)))
    with_weights = [layer for layer in model.layers if layer.weights]
    for number, (mine, layer) in enumerate(zip(with_weights, layers, strict=True)):
        weights = layer.weights.T if layer.weights.ndim == 2 else layer.weights.transpose(1, 2, 3, 0)
        mine.set_weights([weights, layer.bias])
        mine.trainable = number >= len(layers) - 2
    return model


def _layer(layer: keras.layers.Layer) -> Layer:
    weights, bias = layer.get_weights()
    return Layer(weights.T if weights.ndim == 2 else weights.transpose(3, 0, 1, 2), bias)


def _copies(digits: Digits) -> tuple[Floats, NDArray[np.int64]]:
    """Images [n, 28, 28, 1], 0..1, and labels: every digit as it is, and COPIES that are moved."""
    images, moved = digits.images.astype(np.float32) / np.float32(255), moving()
    parts = [images]
    for _ in range(COPIES):
        parts += [np.asarray(moved(images[at : at + _STEP], training=True)) for at in range(0, len(images), _STEP)]
    return np.concatenate(parts), np.tile(digits.labels, COPIES + 1)


def _at_side(images: Floats, side: int) -> Floats:
    steps = range(0, len(images), _STEP)
    parts = [tf.image.resize(images[at : at + _STEP], [side, side], method="area") for at in steps]
    return np.concatenate([np.asarray(part) for part in parts])
