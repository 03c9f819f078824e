"""The weights of a small network in a .tflite file: read layer by layer, and written anew in place.

A file with other weights in some layers differs from the one that it was made of in those bytes and nowhere else, so an
agent that has the one needs little more than those layers to have the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upriver.errors import ModelInvalid
from upriver_agent.versions.flatbuffer import Cursor, root
from upriver_agent.versions.operators import BUILTIN_OPERATORS

_LAYERS = tuple(BUILTIN_OPERATORS.index(name) for name in ("CONV_2D", "FULLY_CONNECTED"))
_MOST = 64


@dataclass(frozen=True)
class Layer:
    """A convolution or a dense layer: weights float32 [outputs, ...], bias float32 [outputs]."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def read_layers(model: bytes) -> list[Layer]:
    """The layers of a .tflite file in order; raises ModelInvalid when they are not kept in float32."""
    return [Layer(layer.weights.copy(), layer.bias.copy()) for layer in _views(bytearray(model))]


def with_layers(model: bytes, layers: Sequence[Layer]) -> bytes:
    """The same file with other weights of the same shapes; raises ModelInvalid as `read_layers` does."""
    content = bytearray(model)
    for mine, other in zip(_views(content), layers, strict=True):
        mine.weights[:], mine.bias[:] = other.weights, other.bias
    return bytes(content)


def pruned(layer: Layer, kept: float) -> Layer:
    """The layer with only its largest weights left: a share `kept` of them, the others zero."""
    least = np.quantile(np.abs(layer.weights), 1 - kept)
    return Layer(np.where(np.abs(layer.weights) >= least, layer.weights, np.float32(0)), layer.bias)


def _views(content: bytearray) -> list[Layer]:
    """The layers as views into the content."""
    model = root(memoryview(content), b"TFL3")
    codes = [max(code.scalar(0, "int8"), code.scalar(3, "int32")) for code in model.tables(1)]
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors, layers = graph.tables(0), []
    for step in graph.tables(3):
        if codes[step.scalar(0, "uint32")] in _LAYERS:
            taken = step.numbers(1, "<i4", _MOST)
            if taken is None or len(taken) != 3:
                raise ModelInvalid("a layer has no bias")
            weights, bias = (_floats(tensors[index], buffers) for index in taken.tolist()[1:])
            layers.append(Layer(weights, bias))
    return layers


def _floats(tensor: Cursor, buffers: list[Cursor]) -> NDArray[np.float32]:
    shape = tensor.numbers(0, "<i4", _MOST)
    data = buffers[tensor.scalar(2, "uint32")].octets(0)
    if tensor.scalar(1, "int8") != 0 or shape is None or 4 * math.prod(shape.tolist()) != len(data):
        raise ModelInvalid("a layer's weights are not kept as float32")
    return np.frombuffer(data, np.float32).reshape(shape.tolist())
