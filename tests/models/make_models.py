"""Makes the small .tflite files beside it: one for each kind of model that a runtime must cope with.

Needs TensorFlow (the `train` extra); the files are committed, so tests need it not. Nothing is trained: weights come
from a fixed seed, so that running this again gives the same bytes. Run: `python tests/models/make_models.py`.
"""

import io
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

HERE = Path(__file__).parent
SEED = 20
LABELS = tuple(f"class-{index}" for index in range(10))


def weights(*shape: int, seed: int = SEED) -> tf.Tensor:
    """Normal weights of a fixed seed, scaled so that a layer keeps its input's size."""
    fan_in = max(1, int(np.prod(shape[:-1])))
    values = np.random.default_rng(seed).normal(0.0, fan_in**-0.5, shape)
    return tf.constant(values.astype(np.float32))


def converted(
    function: Callable[..., dict[str, tf.Tensor]],
    signature: Sequence[tf.TensorSpec],
    calibrate: Callable[[], object] | None = None,
    inference_type: tf.DType = tf.int8,
) -> bytes:
    """Converts a function of named tensors; with `calibrate` to integers throughout."""
    module = tf.Module()
    module.serve = tf.function(function, input_signature=list(signature))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    if calibrate is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = calibrate
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = inference_type
        converter.inference_output_type = inference_type
    return bytes(converter.convert())


def classifier(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """A 14x14 gray image to 10 classes through one convolution, with its embedding."""
    hidden = tf.nn.relu(tf.nn.conv2d(image, weights(3, 3, 1, 4), 2, "SAME"))
    embedding = tf.reduce_mean(hidden, [1, 2])
    logits = tf.matmul(embedding, weights(4, 10, seed=SEED + 1)) * 4.0
    return {"probabilities": tf.nn.softmax(logits), "embedding": embedding}


def plain_classifier(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """The classifier without its embedding."""
    return {"probabilities": classifier(image)["probabilities"]}


def two_by_two(left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
    """Two inputs of different shapes and two outputs, none a copy of the other."""
    joined = tf.concat([left, tf.reshape(right, [-1, 6])], 1)
    return {"sum": tf.matmul(joined, weights(10, 3)), "product": tf.reduce_prod(right, 2)}


def one_class(features: tf.Tensor) -> dict[str, tf.Tensor]:
    """A single logit."""
    return {"logits": tf.matmul(features, weights(8, 1))}


def detector(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Four boxes whose scores depend on the brightness of the image's quarters, surest first."""
    quarters = tf.reshape(tf.nn.avg_pool2d(image, 8, 8, "VALID"), [-1, 4])
    scores, order = tf.math.top_k(quarters, 4)
    corners = tf.constant([[0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5], [0.5, 0.5, 1, 1]], tf.float32)
    return {
        "boxes": tf.gather(corners, order),
        "classes": tf.cast(order % 2, tf.float32),
        "scores": scores,
        "count": tf.reduce_sum(tf.cast(scores > 0.1, tf.float32), 1),
    }


def scalar(features: tf.Tensor) -> dict[str, tf.Tensor]:
    """One number a row."""
    return {"value": tf.sigmoid(tf.matmul(features, weights(8, 1)))}


def endless(features: tf.Tensor) -> dict[str, tf.Tensor]:
    """A loop that never ends: its condition looks at a number that its body leaves alone."""
    _, grown = tf.while_loop(lambda i, _: i < 1, lambda i, x: (i * 1, x * 1.0001), [tf.constant(0), features])
    return {"value": tf.reduce_sum(grown, 1, keepdims=True)}


def swelling(features: tf.Tensor) -> dict[str, tf.Tensor]:
    """Asks for 32 GB while it runs."""
    rows = tf.cast(tf.reduce_sum(features * 0.0) + 2.0e9, tf.int32)
    huge = tf.fill([rows, 4], tf.reduce_sum(features))
    return {"value": tf.reduce_max(huge) + tf.reduce_sum(features, 1, keepdims=True)}


def out_of_bounds(index: tf.Tensor) -> dict[str, tf.Tensor]:
    """Looks a number up in a list of eight, and fails when it is not there."""
    return {"value": tf.gather(tf.range(8, dtype=tf.float32), tf.cast(index, tf.int32))}


def images(rows: int | None, side: int = 14, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
    """An input of gray images."""
    return tf.TensorSpec([rows, side, side, 1], dtype, name="image")


def calibration() -> object:
    """Images for the converter to measure value ranges with."""
    generator = np.random.default_rng(SEED)
    for _ in range(16):
        yield [generator.random((1, 14, 14, 1), np.float32)]


def _normalisation(builder: flatbuffers.Builder, mean: float, std: float) -> int:
    vectors = []
    for value in (mean, std):
        builder.StartVector(4, 1, 4)
        builder.PrependFloat32(value)
        vectors.append(builder.EndVector())
    builder.StartObject(2)
    for slot, vector in enumerate(vectors):
        builder.PrependUOffsetTRelativeSlot(slot, vector, 0)
    options = builder.EndObject()
    builder.StartObject(2)
    builder.PrependUint8Slot(0, 1, 0)  # ProcessUnitOptions.NormalizationOptions
    builder.PrependUOffsetTRelativeSlot(1, options, 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, items: Sequence[int]) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return builder.EndVector()


def _object(builder: flatbuffers.Builder, slots: int, **offsets: int) -> int:
    """A table whose fields `f<number>` are offsets."""
    builder.StartObject(slots)
    for name, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(int(name[1:]), offset, 0)
    return builder.EndObject()


def metadata_block(label_file: str, mean: float, std: float) -> bytes:
    """The TFLITE_METADATA buffer: normalisation of the first input, a label file for the first output."""
    builder = flatbuffers.Builder(512)
    name = builder.CreateString(label_file)
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependInt8Slot(2, 2, 0)  # AssociatedFileType.TENSOR_AXIS_LABELS
    file = builder.EndObject()
    files = _vector(builder, [file])
    units = _vector(builder, [_normalisation(builder, mean, std)])
    inputs = _vector(builder, [_object(builder, 7, f4=units)])
    outputs = _vector(builder, [_object(builder, 7, f6=files)])
    graphs = _vector(builder, [_object(builder, 10, f2=inputs, f3=outputs)])
    title = builder.CreateString("a classifier of nothing")
    builder.Finish(_object(builder, 8, f0=title, f3=graphs), file_identifier=b"M001")
    return bytes(builder.Output())


def with_metadata(model: bytes, labels: Sequence[str], mean: float, std: float) -> bytes:
    """Adds metadata as the TFLite tools do: a metadata buffer inside, the label file in a zip archive behind."""
    tables = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(metadata_block("labels.txt", mean, std))
    entry.name, entry.buffer = "TFLITE_METADATA", len(tables.buffers)
    tables.buffers.append(buffer)
    tables.metadata = [*(tables.metadata or []), entry]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tables.Pack(builder), file_identifier=b"TFL3")
    file = io.BytesIO(bytes(builder.Output()))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt", (1980, 1, 1, 0, 0, 0)), "\n".join(labels) + "\n")
    return file.getvalue()


def calling_itself(looping: bytes) -> bytes:
    """Makes the loop's body the whole model: preparing it recurses until the interpreter's stack overflows."""
    tables = schema.ModelT.InitFromObj(schema.Model.GetRootAs(looping, 0))
    for operator in tables.subgraphs[0].operators:
        if isinstance(operator.builtinOptions, schema.WhileOptionsT):
            operator.builtinOptions.bodySubgraphIndex = 0
    builder = flatbuffers.Builder(len(looping))
    builder.Finish(tables.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def main() -> int:
    """Writes every model."""
    features = tf.TensorSpec([None, 8], tf.float32, name="features")
    pair = [tf.TensorSpec([None, 4], tf.float32, name="left"), tf.TensorSpec([None, 2, 3], tf.float32, name="right")]
    plain = converted(plain_classifier, [images(None)])
    looping = converted(endless, [features])
    models = {
        "float_dynamic": plain,
        "float_embedding": converted(classifier, [images(None)]),
        "float_fixed1": converted(plain_classifier, [images(1)]),
        "float_fixed4": converted(plain_classifier, [images(4)]),
        "int8_dynamic": converted(classifier, [images(None)], calibration),
        "uint8_fixed1": converted(plain_classifier, [images(1)], calibration, tf.uint8),
        "two_by_two": converted(two_by_two, pair),
        "one_class": converted(one_class, [features]),
        "detector": converted(detector, [images(None, 16)]),
        "scalar": converted(scalar, [features]),
        "out_of_bounds": converted(out_of_bounds, [tf.TensorSpec([None, 1], tf.float32, name="index")]),
        "endless": looping,
        "swelling": converted(swelling, [features]),
        "calling_itself": calling_itself(looping),
        "with_metadata": with_metadata(plain, LABELS, 127.5, 127.5),
    }
    for name, content in models.items():
        path = HERE / f"{name}.tflite"
        path.write_bytes(content)
        print(f"{path.name}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
