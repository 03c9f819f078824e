"""Networks as .tflite files: a free number of rows, outputs by name, floats at the edges. Needs TensorFlow."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from demo.networks import Recipe
from demo.warping import Floats

_SAMPLES = 300
_IN_FLOATS = ["FULLY_CONNECTED", "SOFTMAX"]
"""What stays as it is in a quantised file: an int8 softmax tells 256 confidences apart, and most of them are the top
one, so no threshold could ask for more."""


def convert(model: keras.Model, recipe: Recipe, sample: Floats) -> bytes:
    """The .tflite file; activations' ranges are taken from the sample, [n, side, side, 1]."""
    converter = _converter(model, recipe)
    if recipe.quantise == "no":
        return bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.quantise == "weights":
        return bytes(converter.convert())
    converter.representative_dataset = lambda: ([sample[i : i + 1]] for i in range(_SAMPLES))
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_IN_FLOATS)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
    )
    return bytes(debugger.get_nondebug_quantized_model())


def _converter(model: keras.Model, recipe: Recipe) -> tf.lite.TFLiteConverter:
    shape = tf.TensorSpec([None, recipe.side, recipe.side, 1], tf.float32, name="image")
    frozen = convert_variables_to_constants_v2(
        tf.function(lambda image: model(image, training=False)[:2]).get_concrete_function(shape)
    )

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities, embedding = frozen(image)
        return {"probabilities": probabilities, "embedding": embedding}

    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[shape])
    return tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
