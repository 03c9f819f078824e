"""Trained models become versions: with TensorFlow where it is installed, and with a played model where it is not."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.versions import MODELS, make_version
from upriver.errors import ConfigError, ModelInvalid, RuntimeMissing
from upriver_control.convert.conversion import _Workshop, convert_to_version, is_source, open_trained
from upriver_control.convert.cost import Cost, Quantise, choose, cost_of
from upriver_control.validation import ChildValidation

with_tensorflow = pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is of the train extra")
IMAGES = np.random.default_rng(5).random((40, 14, 14, 1), np.float32)
LABELS = np.arange(40) % 10


class PlayedModel:
    """A trained model that is .tflite files already: what it is converted to, by kind. Its outputs are given."""

    def __init__(self, files, outputs):
        self.files = files
        self.outputs = outputs
        self.representative = {}

    def run(self, inputs):
        assert inputs["image"].shape == IMAGES.shape
        return self.outputs

    def convert(self, how, representative, lenient=False):
        self.representative[how] = representative
        if how not in self.files:
            raise ModelInvalid(f"can't be {how}")
        return (MODELS / self.files[how]).read_bytes()


@pytest.fixture
def samples(tmp_path):
    np.savez(tmp_path / "samples.npz", **{"inputs/image": IMAGES, "labels": LABELS})
    return tmp_path / "samples.npz"


@pytest.fixture
def manifest(tmp_path):
    return make_version(tmp_path, "v1", 0.5, file="float_dynamic.tflite") / "manifest.toml"


def workshop(source, manifest, samples, tmp_path):
    return _Workshop(source, manifest, samples, tmp_path)


def test_variants_are_compared_with_the_original_on_prepared_samples(tmp_path, manifest, samples):
    uniform = {"probabilities": np.tile(np.linspace(0, 0.2, 10, dtype=np.float32), (40, 1))}
    files = {Quantise.FLOAT: "float_dynamic.tflite", Quantise.INT8: "int8_dynamic.tflite"}
    source = PlayedModel(files, uniform)
    made = workshop(source, manifest, samples, tmp_path).convert("best")
    assert [cost.how for cost in made.costs] == [Quantise.FLOAT, Quantise.INT8]
    assert made.failed == {"dynamic-range": "can't be dynamic-range"}
    assert source.representative[Quantise.FLOAT] is None
    assert np.array_equal(source.representative[Quantise.INT8]["image"], IMAGES)
    for cost in made.costs:
        assert cost.size_bytes == (MODELS / files[cost.how]).stat().st_size
        assert cost.original_accuracy == pytest.approx(0.1)
        assert 0 <= cost.agreement <= 1
        assert cost.max_difference > 0
    assert json.loads(json.dumps(made.as_document()))["chosen"] == made.chosen.how.value


def test_the_one_that_is_asked_for_is_made_or_refused(tmp_path, manifest, samples):
    source = PlayedModel({Quantise.FLOAT: "float_dynamic.tflite"}, {})
    assert workshop(source, manifest, samples, tmp_path).convert("float").chosen.how is Quantise.FLOAT
    with pytest.raises(ModelInvalid, match="can't be int8"):
        workshop(source, manifest, samples, tmp_path).convert("int8")


def test_without_samples_nothing_is_believed_but_floats(tmp_path, manifest):
    files = {Quantise.FLOAT: "float_dynamic.tflite", Quantise.DYNAMIC_RANGE: "float_dynamic.tflite"}
    made = workshop(PlayedModel(files, {}), manifest, None, tmp_path).convert("best")
    assert made.chosen.how is Quantise.FLOAT
    assert "needs --samples" in made.failed["int8"]


COSTS = st.builds(
    Cost,
    st.sampled_from(Quantise),
    st.integers(1, 10**6),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 10),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 1),
)


@given(costs=st.lists(COSTS, max_size=5), size=st.integers(1, 10**6))
def test_the_choice_is_good_enough_or_float(costs, size):
    chosen = choose([Cost(Quantise.FLOAT, size), *costs])
    if chosen.agreement is not None and chosen.agreement >= 0.99:
        assert (
            chosen.accuracy is None
            or chosen.original_accuracy is None
            or (chosen.original_accuracy - chosen.accuracy <= 0.005)
        )
        return
    assert chosen.how is Quantise.FLOAT


@settings(max_examples=50)
@given(rows=st.integers(1, 20), flipped=st.integers(0, 20))
def test_agreement_is_the_share_of_rows_with_the_same_winner(rows, flipped):
    flipped = min(flipped, rows)
    before = np.zeros((rows, 3), np.float32)
    before[:, 0] = 1
    after = before.copy()
    after[:flipped] = [0, 1, 0]
    cost = cost_of(Quantise.INT8, 1, {"s": before}, {"s": after}, "s", np.zeros(rows, np.int64))
    assert cost.agreement == pytest.approx(1 - flipped / rows)
    assert cost.accuracy == pytest.approx(1 - flipped / rows)
    assert cost.original_accuracy == 1.0
    assert cost.max_difference == (1.0 if flipped else 0.0)


def test_what_must_be_converted_is_told_from_versions(tmp_path):
    for name in ("m.keras", "m.h5", "m.onnx"):
        assert is_source(tmp_path / name)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    assert is_source(tmp_path / "saved")
    assert not is_source(make_version(tmp_path, "v1", 0.5))
    assert not is_source(tmp_path / "version.zip")


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_a_missing_tensorflow_is_told_with_the_extra(tmp_path):
    with pytest.raises(RuntimeMissing, match=r"tensorflow is not installed.*upriver\[train\]"):
        open_trained(tmp_path / "model.keras", tmp_path)


TRAINED = """
import sys
from tensorflow import keras
import tensorflow as tf
folder = sys.argv[1]
keras.utils.set_random_seed(3)
image = keras.Input((14, 14, 1), name="image")
hidden = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(image))
out = keras.layers.Dense(10, "softmax", name="probabilities")(hidden)
model = keras.Model(image, out)
model.save(f"{folder}/model.keras")
model.export(f"{folder}/saved", verbose=False)

single = keras.Input((14, 14, 1), batch_size=1, name="image")
keras.Model(single, model(single)).export(f"{folder}/single", verbose=False)

class Strange(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 14, 14, 1], tf.float32, name="image")])
    def serve(self, image):
        flat = tf.reshape(image, [-1, 196])[:, :10]
        return {"probabilities": tf.math.bessel_i0e(flat) * tf.linalg.det(tf.reshape(flat[:, :9], [-1, 3, 3]))[:, None]}

strange = Strange()
tf.saved_model.save(strange, f"{folder}/strange", signatures={"serving_default": strange.serve})
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    subprocess.run([sys.executable, "-c", TRAINED, folder], check=True, timeout=180, capture_output=True)
    return folder


@with_tensorflow
@pytest.mark.parametrize("quantise", ["float", "dynamic-range", "int8", "best"])
def test_a_keras_file_becomes_a_version(tmp_path, trained, manifest, samples, quantise):
    version = tmp_path / "version"
    version.mkdir()
    made = convert_to_version(trained / "model.keras", manifest, samples, quantise, version)
    assert quantise in ("best", made.chosen.how.value)
    assert made.chosen.agreement > 0.9
    assert made.costs[0].max_difference < 1e-4
    assert ChildValidation()(version).model == "pattern"


@with_tensorflow
def test_a_saved_model_becomes_a_version(tmp_path, trained, manifest, samples):
    text = manifest.read_text()
    version = tmp_path / "version"
    version.mkdir()
    with pytest.raises(ModelInvalid, match="no such output; the model has 'output_0'"):
        convert_to_version(trained / "saved", manifest, samples, "int8", version)
    manifest.write_text(text.replace('scores = "probabilities"', 'scores = "output_0"'))
    made = convert_to_version(trained / "saved", manifest, samples, "int8", version)
    assert made.chosen.how is Quantise.INT8
    assert {cost.how for cost in made.costs} == {Quantise.FLOAT, Quantise.INT8}


@with_tensorflow
def test_a_model_of_one_row_at_a_time_becomes_a_version(tmp_path, trained, manifest, samples):
    manifest.write_text(manifest.read_text().replace('scores = "probabilities"', 'scores = "output_0"'))
    made = convert_to_version(trained / "single", manifest, samples, "best", tmp_path)
    assert made.costs[0].agreement == 1.0
    assert ChildValidation()(tmp_path).model == "pattern"


ONNX = """
import sys
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
rng = np.random.default_rng(0)
weights = numpy_helper.from_array((rng.standard_normal((4, 1, 3, 3)) * 0.3).astype(np.float32), "conv")
head = numpy_helper.from_array((rng.standard_normal((576, 10)) * 0.05).astype(np.float32), "head")
nodes = [helper.make_node("Conv", ["image", "conv"], ["c"], kernel_shape=[3, 3]),
         helper.make_node("Relu", ["c"], ["r"]),
         helper.make_node("Flatten", ["r"], ["f"]), helper.make_node("MatMul", ["f", "head"], ["m"]),
         helper.make_node("Softmax", ["m"], ["probabilities"], axis=1)]
given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 14, 14])
found = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])
graph = helper.make_graph(nodes, "g", [given], [found], [weights, head])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
model.ir_version = 8
onnx.save(model, sys.argv[1])
"""


@with_tensorflow
@pytest.mark.skipif(
    shutil.which("onnx2tf") is None, reason="onnx2tf, which wants another TensorFlow, is not on the PATH"
)
def test_an_onnx_file_becomes_a_version(tmp_path, manifest, samples):
    python = Path(shutil.which("onnx2tf")).with_name("python")  # its own environment has onnx
    subprocess.run([python, "-c", ONNX, tmp_path / "model.onnx"], check=True, timeout=60)
    manifest.write_text(manifest.read_text().replace('scores = "probabilities"', 'scores = "output_0"'))
    made = convert_to_version(tmp_path / "model.onnx", manifest, samples, "best", tmp_path)
    assert made.costs[0].agreement == 1.0
    assert ChildValidation()(tmp_path).model == "pattern"


@with_tensorflow
def test_operators_that_cannot_go_to_the_edge_are_all_named(tmp_path, trained, manifest, samples):
    with pytest.raises(ModelInvalid) as told:
        convert_to_version(trained / "strange", manifest, samples, "best", tmp_path)
    assert "operator MatrixDeterminant" in str(told.value)
    assert "operator BesselI0e" in str(told.value)


@with_tensorflow
def test_files_that_are_no_models_are_refused(tmp_path, manifest):
    (tmp_path / "model.keras").write_bytes(b"nothing")
    with pytest.raises(ModelInvalid, match="can't open it"):
        convert_to_version(tmp_path / "model.keras", manifest, None, "float", tmp_path)
    with pytest.raises(ConfigError, match="expected best or float"):
        convert_to_version(tmp_path / "model.keras", manifest, None, "small", tmp_path)


@with_tensorflow
@pytest.mark.skipif(shutil.which("onnx2tf") is not None, reason="onnx2tf is on the PATH")
def test_onnx_needs_its_own_program(tmp_path):
    with pytest.raises(RuntimeMissing, match=r"onnx2tf -i model\.onnx -o saved_model"):
        open_trained(tmp_path / "model.onnx", tmp_path)
