"""Versions answering on the real LiteRT."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.models.folders import CLASSIFIER, DETECTOR, ENCODED, SCALAR, version_folder, without
from upriver.errors import InvalidInput, ModelInvalid
from upriver_agent.predictor import ROWS_BYTES, Predictor, open_predictor
from upriver_agent.preprocess.resample import Array
from upriver_agent.runtime import open_runtime
from upriver_agent.versions import open_version

PIXELS = np.random.default_rng(11).integers(0, 256, (6, 28, 28, 1), np.uint8)


def predictor(tmp_path: Path, model: str, manifest: str = CLASSIFIER) -> Predictor:
    return open_predictor(open_version(version_folder(tmp_path / model, model, manifest), tmp_path / "state"), "litert")


def encoded(*images: Array) -> Array:
    rows = np.empty(len(images), object)
    for row, image in enumerate(images):
        out = io.BytesIO()
        Image.fromarray(image[..., 0]).save(out, "PNG")
        rows[row] = out.getvalue()
    return rows


def test_canonical_pixels_become_the_versions_own_input(tmp_path: Path) -> None:
    answering = predictor(tmp_path, "float_dynamic")
    own = PIXELS.reshape(6, 14, 2, 14, 2, 1).mean(axis=(2, 4), dtype=np.float32) / 255
    (expected,) = open_runtime("litert", answering.version.model_path).infer([own.astype(np.float32)])
    prediction = answering.predict({"image": PIXELS})
    assert prediction.scores is not None
    assert prediction.embedding is None
    np.testing.assert_allclose(prediction.scores, expected, atol=1e-6)


@pytest.mark.parametrize("model", ["int8_dynamic", "uint8_fixed1", "float_fixed1", "float_fixed4"])
def test_quantised_and_fixed_batches_agree_with_the_float_model(tmp_path: Path, model: str) -> None:
    expected = predictor(tmp_path, "float_dynamic").predict({"image": PIXELS}).scores
    made = predictor(tmp_path, model).predict({"image": PIXELS}).scores
    assert made is not None
    assert expected is not None
    assert (made.dtype, made.shape) == (np.float32, (6, 10))
    np.testing.assert_allclose(made, expected, atol=0.05 if "int8" in model else 1e-5)


def test_the_embedding_is_dequantised_too(tmp_path: Path) -> None:
    named = CLASSIFIER.replace("[policy]", 'embedding = "embedding"\n[policy]')
    real = predictor(tmp_path, "float_embedding", named).predict({"image": PIXELS}).embedding
    made = predictor(tmp_path, "int8_dynamic", named).predict({"image": PIXELS}).embedding
    assert made is not None
    assert real is not None
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, real, atol=0.02)


def test_encoded_images_answer_like_their_pixels(tmp_path: Path) -> None:
    expected = predictor(tmp_path, "float_dynamic").predict({"image": PIXELS}).scores
    made = predictor(tmp_path / "encoded", "float_dynamic", ENCODED).predict({"image": encoded(*PIXELS)}).scores
    assert made is not None
    assert expected is not None
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_normalisation_of_the_metadata_is_used(tmp_path: Path) -> None:
    told = predictor(tmp_path / "told", "with_metadata", without(CLASSIFIER, "labels", "scale"))
    said = predictor(
        tmp_path / "said",
        "float_dynamic",
        CLASSIFIER.replace("scale = 0.00392156862745098", "mean = [127.5]\nstd = [127.5]"),
    )
    assert told.version.labels[3] == "class-3"
    np.testing.assert_allclose(
        told.predict({"image": PIXELS}).scores, said.predict({"image": PIXELS}).scores, atol=1e-6
    )


def test_a_detector_answers_with_its_outputs_under_the_manifests_names(tmp_path: Path) -> None:
    image = np.zeros((2, 16, 16, 1), np.float32)
    image[0, :8, 8:] = 0.9  # upper right
    image[1, 8:, :8] = 0.7  # lower left
    prediction = predictor(tmp_path, "detector", DETECTOR).predict({"image": image})
    assert prediction.scores is None
    assert sorted(prediction.outputs) == ["boxes", "classes", "count", "scores"]
    np.testing.assert_allclose(prediction.outputs["scores"][:, 0], [0.9, 0.7], atol=1e-6)
    np.testing.assert_allclose(prediction.outputs["boxes"][:, 0], [[0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5]])
    np.testing.assert_allclose(prediction.outputs["count"], [1, 1])


def test_a_model_of_one_number_answers_with_it(tmp_path: Path) -> None:
    prediction = predictor(tmp_path, "scalar", SCALAR).predict({"features": np.ones((3, 8), np.float32)})
    assert prediction.scores is None
    assert prediction.outputs["value"].shape == (3, 1)


def test_two_inputs_can_be_made_of_two_canonical_ones(tmp_path: Path) -> None:
    manifest = SCALAR.replace('tensor = "features"', 'tensor = "right"').replace('from = "features"', 'from = "b"')
    manifest = (
        manifest.replace('name = "features"', 'name = "b"').replace("[8]", "[2, 3]").replace('"value"', '"product"')
    )
    manifest += '[[canonical]]\nname = "a"\ndatatype = "INT32"\nshape = [4]\n'
    manifest += '[[inputs]]\ntensor = "left"\nfrom = "a"\nscale = 0.5\n'
    b = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    prediction = predictor(tmp_path, "two_by_two", manifest).predict({"a": np.ones((2, 4), np.int32), "b": b})
    np.testing.assert_allclose(prediction.outputs["product"], b.prod(axis=2), rtol=1e-6)
    assert prediction.outputs["sum"].shape == (2, 3)


def test_large_batches_of_large_models_go_in_groups(tmp_path: Path) -> None:
    answering = predictor(tmp_path, "float_dynamic")
    whole = answering.predict({"image": np.repeat(PIXELS, 20, axis=0)})
    greedy = replace(answering.version, model=replace(answering.version.model, activation_bytes=ROWS_BYTES // 7))
    parts = Predictor(greedy, open_runtime("litert", greedy.model_path)).predict(
        {"image": np.repeat(PIXELS, 20, axis=0)}
    )
    assert whole.scores is not None
    assert parts.scores is not None
    assert whole.scores.shape == (120, 10)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-6)


def test_a_missing_canonical_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'image' is missing"):
        predictor(tmp_path, "float_dynamic").predict({})


def test_a_runtime_that_sees_another_model_is_refused(tmp_path: Path) -> None:
    version = open_version(version_folder(tmp_path / "given", "float_dynamic"), tmp_path / "state")
    with pytest.raises(ModelInvalid, match="the file says"):
        Predictor(version, open_runtime("litert", Path(__file__).parents[2] / "models" / "scalar.tflite"))
