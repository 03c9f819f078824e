"""TensorFlow: opens Keras files and SavedModel folders and converts them. With
`training/fine_tuning.py` the only module that imports it.

Importing takes seconds, so it is imported when something is to be converted.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from upriver.errors import ModelInvalid
from upriver_control.convert.cost import Quantise

Array = NDArray[Any]
SIGNATURE: Final = "serving_default"
MAX_REPRESENTATIVE: Final = 500
_GROUP: Final = 64


class Source:
    """A trained model with named inputs and outputs."""

    def __init__(self, function: Callable[..., Any], inputs: Mapping[str, Any], outputs: tuple[str, ...]) -> None:
        """`function` takes tensors by name and gives a dictionary; `inputs` are their specs."""
        self._function = function
        self._inputs = dict(inputs)
        self._rows = min((spec.shape[0] for spec in inputs.values() if spec.shape[0]), default=_GROUP)
        self.outputs = outputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The original's outputs for its own inputs, [rows, ...]; a model of one row at a time is run so."""
        rows = len(next(iter(inputs.values())))
        groups = []
        for at in range(0, rows, self._rows):
            given = {name: tf.constant(array[at : at + self._rows]) for name, array in inputs.items()}
            groups.append({name: np.asarray(value) for name, value in self._function(**given).items()})
        return {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}

    def convert(self, how: Quantise, representative: Mapping[str, Array] | None, lenient: bool = False) -> bytes:
        """The .tflite file. With `lenient`, operators that are not built in pass, so that they can be named.

        Raises ModelInvalid with the converter's reason.
        """
        # The calibrator reads no variables, so they are frozen into constants first.
        frozen = convert_variables_to_constants_v2(
            tf.function(lambda **given: self._function(**given)).get_concrete_function(**self._inputs)
        )
        order = [tensor.name.partition(":")[0] for tensor in frozen.inputs]

        def serve(**given: Any) -> dict[str, Any]:
            found = frozen(*(given[name] for name in order))
            return dict(zip(sorted(self.outputs), tf.nest.flatten(found), strict=True))

        module = tf.Module()
        module.serve = tf.function(serve).get_concrete_function(**self._inputs)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve], module)
        converter.allow_custom_ops = lenient
        if how is not Quantise.FLOAT:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if how is Quantise.INT8 and representative is not None:
            rows = min(MAX_REPRESENTATIVE, len(next(iter(representative.values()))))
            converter.representative_dataset = lambda: (
                {name: array[row : row + 1] for name, array in representative.items()} for row in range(rows)
            )
        try:
            return bytes(converter.convert())
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:500]
            raise ModelInvalid(f"TensorFlow can't convert it ({how.value}): {reason}") from error


def open_source(path: Path) -> Source:
    """Opens a .keras or .h5 file or a SavedModel folder; raises ModelInvalid."""
    try:
        return _saved_model(path) if path.is_dir() else _keras(path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0][:500]
        raise ModelInvalid(f"{path}: TensorFlow can't open it: {reason}") from error


def _keras(path: Path) -> Source:
    model = tf.keras.models.load_model(path, compile=False)
    names = tuple(model.output_names)
    inputs = {
        tensor.name.partition(":")[0]: tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name.partition(":")[0])
        for tensor in model.inputs
    }

    def function(**given: Any) -> dict[str, Any]:
        asked = [given[name] for name in inputs]
        found = model(asked if len(asked) > 1 else asked[0], training=False)
        return dict(zip(names, tf.nest.flatten(found), strict=True))

    return Source(function, inputs, names)


def _saved_model(path: Path) -> Source:
    loaded = tf.saved_model.load(str(path))
    signatures = loaded.signatures
    if SIGNATURE not in signatures:
        raise ModelInvalid(f"{path}: has no signature {SIGNATURE!r}; it has {', '.join(signatures) or 'none'}")
    signature = signatures[SIGNATURE]
    inputs = dict(signature.structured_input_signature[1])

    def function(**given: Any) -> dict[str, Any]:
        _ = loaded  # the variables live as long as the object that owns them
        return dict(signature(**given))

    return Source(function, inputs, tuple(signature.structured_outputs))
