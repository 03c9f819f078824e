import pytest

from tests.models.folders import CLASSIFIER, DETECTOR, ENCODED, HERE, SCALAR, TEN, without
from upriver.errors import ModelInvalid
from upriver_agent.versions.binding import Binding, bind
from upriver_agent.versions.model_file import read_model_file
from upriver_agent.versions.parsing import parse_manifest


def bound(model: str, manifest: str = CLASSIFIER) -> Binding:
    return bind(parse_manifest(manifest), read_model_file(HERE / f"{model}.tflite"))


def lie(model: str, manifest: str) -> str:
    with pytest.raises(ModelInvalid) as caught:
        bound(model, manifest)
    return str(caught.value)


def test_a_manifest_that_fits_is_joined_with_the_model() -> None:
    binding = bound("float_embedding", CLASSIFIER.replace("[policy]", 'embedding = "embedding"\n[policy]'))
    assert [output.name for output in binding.outputs] == ["embedding", "probabilities"]
    assert binding.labels == tuple("abcdefghij")
    assert binding.roles == {"scores": "probabilities", "embedding": "embedding"}


def test_outputs_are_named_as_the_manifest_names_them() -> None:
    raw = read_model_file(HERE / "float_dynamic.tflite").outputs[0].tensor_name
    binding = bound("float_dynamic", CLASSIFIER.replace('"probabilities"\nscores_are', f'"{raw}"\nscores_are'))
    assert [output.name for output in binding.outputs] == [raw]


def test_scale_mean_and_std_fold_into_one_multiply_and_one_add() -> None:
    manifest = CLASSIFIER.replace("scale = 0.00392156862745098", "scale = 0.5\nmean = [2.0]\nstd = [4.0]")
    (made,) = bound("float_dynamic", manifest).inputs
    assert made.factor == (0.125,)
    assert made.offset == (-0.5,)


def test_metadata_stands_in_for_labels_and_normalisation() -> None:
    binding = bound("with_metadata", without(CLASSIFIER, "labels", "scale"))
    assert binding.labels == tuple(TEN)
    assert binding.inputs[0].factor == pytest.approx((1 / 127.5,))
    assert binding.inputs[0].offset == pytest.approx((-1.0,))


def test_what_the_manifest_says_wins_over_the_metadata() -> None:
    binding = bound("with_metadata")
    assert binding.labels == tuple("abcdefghij")
    assert binding.inputs[0].factor == pytest.approx((1 / 255,))
    assert binding.inputs[0].offset == (0.0,)


@pytest.mark.parametrize(
    ("model", "manifest"),
    [("float_fixed1", ENCODED), ("detector", DETECTOR), ("scalar", SCALAR), ("uint8_fixed1", ENCODED)],
)
def test_every_kind_of_task_and_input_can_be_joined(model: str, manifest: str) -> None:
    assert bound(model, manifest).inputs


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('tensor = "image"', 'tensor = "picture"', "'picture': no such input; the model has 'image' (float32"),
        ('scores = "probabilities"', 'scores = "logits"', "'logits': no such output; the model has 'probabilities'"),
        ("height = 14", "height = 15", "makes rows of [15, 14, 1] for 'image'; the model takes [-1, 14, 14, 1]"),
        ("shape = [28, 28, 1]", "shape = [28, 28, 3]", "makes rows of [14, 14, 3]"),
        ('"i", "j"]', '"i"]', "9 labels; the output 'probabilities' has 10 classes"),
        ("scale = 0.00392156862745098", "mean = [1.0, 2.0]", "inputs[0].mean: 2 numbers; allowed: 1 or 1"),
        ("scale = 0.00392156862745098", 'layout = "NCHW"', "makes rows of [1, 14, 14]"),
    ],
)
def test_a_manifest_that_lies_about_the_model_is_refused(old: str, new: str, told: str) -> None:
    assert old in CLASSIFIER
    assert told in lie("float_dynamic", CLASSIFIER.replace(old, new))


def test_several_lies_are_told_at_once() -> None:
    told = lie(
        "float_dynamic",
        CLASSIFIER.replace('tensor = "image"', 'tensor = "x"').replace('= "probabilities"\nscores_', '= "y"\nscores_'),
    )
    assert "'x'" in told
    assert "'y'" in told


def test_missing_labels_are_missed() -> None:
    assert "expected 10, one for each class" in lie("float_dynamic", without(CLASSIFIER, "labels"))


def test_scores_that_are_no_table_of_classes_are_refused() -> None:
    manifest = DETECTOR.replace('"detect"', '"classify"').replace('"best_box"', '"margin"')
    manifest = without(manifest, "boxes", "classes", "count", "box_threshold").replace(
        'scores = "scores"', 'scores = "boxes"'
    )
    assert "expected [rows, classes]" in lie("detector", manifest)


def test_an_input_that_nothing_makes_is_named() -> None:
    manifest = (
        SCALAR.replace('tensor = "features"', 'tensor = "left"').replace("[8]", "[4]").replace('"value"', '"sum"')
    )
    assert "nothing makes the model's input 'right'" in lie("two_by_two", manifest)
