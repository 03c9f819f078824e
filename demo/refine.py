"""Makes a better device model of the one there is: its last two layers learn on from the cloud's answers.

The first two layers stay as they are, byte for byte, and so does the rest of the file: what a device that runs the one
has to fetch for the other is little more than the layers that changed. Needs TensorFlow.
"""

import numpy as np
from tensorflow import keras

from demo.learning import COPIES, Lessons, Teacher, scaled, soft
from demo.networks import SEED
from demo.weights import Layer, read_layers, with_layers

PASSES = 24
RATE = 2e-3
SOFTNESS = 3.0
STRIDES = (1, 2, 2)


def refine(content: bytes, side: int, lessons: Lessons, teacher: Teacher) -> bytes:
    """The device model's file with its last convolution and its dense layer trained further."""
    keras.utils.set_random_seed(SEED)
    layers = read_layers(content)
    model = _network(layers, side)
    steps = PASSES * -(-len(lessons.labels()) // 256)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)), soft(SOFTNESS))
    for number in range(PASSES):
        copy = number % (COPIES + 1)
        wanted = lessons.answers(copy, teacher)
        seen = model.fit(scaled(lessons.images(copy), side), wanted, batch_size=256, verbose=0)
        print(f"refining: pass {number + 1} of {PASSES}, loss {seen.history['loss'][0]:.4f}", flush=True)
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
    weights, bias = (np.asarray(part) for part in layer.get_weights())
    return Layer(weights.T if weights.ndim == 2 else weights.transpose(3, 0, 1, 2), bias)
