"""Makes bench/models/s: 784 floats through 64 hidden units to 10 probabilities, with weights of a fixed seed.

Needs TensorFlow (the `train` extra); the file is committed, so that benchmarks need it not.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent / "models" / "s"
MANIFEST = """format = 1
model = "s"
version = "1"

[task]
kind = "classify"
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]

[[canonical]]
name = "x"
datatype = "FP32"
shape = [784]

[[inputs]]
tensor = "x"
from = "x"

[outputs]
scores = "probabilities"

[policy]
score = "max_probability"
threshold = 0.0
"""


def main() -> None:
    """Writes the version."""
    random = np.random.default_rng(1)
    hidden = tf.constant(random.normal(0, 784**-0.5, (784, 64)).astype(np.float32))
    out = tf.constant(random.normal(0, 64**-0.5, (64, 10)).astype(np.float32))

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(tf.matmul(tf.nn.relu(tf.matmul(x, hidden)), out))}

    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None, 784], tf.float32, name="x")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    HERE.mkdir(parents=True, exist_ok=True)
    (HERE / "model.tflite").write_bytes(bytes(converter.convert()))
    (HERE / "manifest.toml").write_text(MANIFEST)


if __name__ == "__main__":
    main()
