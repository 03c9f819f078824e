import contextlib
import copy
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.folders import CLASSIFIER, DETECTOR, ENCODED, SCALAR, without
from upriver.errors import ManifestError
from upriver.scores import ScoreKind
from upriver_agent.versions.manifest import Colour, Interpolation, Manifest, ScoresAre, TaskKind
from upriver_agent.versions.parsing import parse_manifest

VALID = [CLASSIFIER, ENCODED, DETECTOR, SCALAR]


def problems_of(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text)
    return "\n".join(caught.value.problems)


def test_a_classifier_is_read_whole() -> None:
    manifest = parse_manifest(CLASSIFIER)
    assert (manifest.model, manifest.version) == ("shapes", "one")
    assert manifest.task.kind is TaskKind.CLASSIFY
    assert manifest.task.labels == tuple("abcdefghij")
    (canonical,) = manifest.canonical
    assert (canonical.name, canonical.datatype, canonical.shape) == ("image", "UINT8", (28, 28, 1))
    (recipe,) = manifest.inputs
    assert recipe.resize is not None
    assert recipe.resize.interpolation is Interpolation.AREA
    assert recipe.scale == pytest.approx(1 / 255)
    assert recipe.mean is None
    assert manifest.outputs.scores_are is ScoresAre.PROBABILITIES
    assert manifest.policy.score is ScoreKind.MAX_PROBABILITY
    assert manifest.outputs.named() == {"scores": "probabilities"}


def test_an_encoded_image_has_a_pixel_limit_and_a_colour() -> None:
    manifest = parse_manifest(ENCODED)
    assert manifest.canonical[0].encoded
    assert manifest.canonical[0].max_pixels == 16_777_216
    assert manifest.inputs[0].colour is Colour.GRAY


def test_labels_may_be_left_to_the_flatbuffer() -> None:
    assert parse_manifest(without(CLASSIFIER, "labels")).task.labels is None


def test_an_infinite_threshold_is_a_policy_that_always_escalates() -> None:
    assert parse_manifest(CLASSIFIER.replace("0.9", "inf")).policy.threshold == math.inf


def test_every_problem_is_told_at_once_with_key_value_and_what_is_allowed() -> None:
    broken = (
        CLASSIFIER.replace("format = 1", "format = 2")
        .replace('"UINT8"', '"UINT7"')
        .replace('"area"', '"cubist"')
        .replace("threshold = 0.9", "threshold = nan\nthreshhold = 0.5")
        .replace('version = "one"', 'version = "../one"')
    )
    told = problems_of(broken)
    for part in (
        "format = 2",
        "canonical[0].datatype = 'UINT7'",
        "'UINT8'",
        "inputs[0].resize.interpolation = 'cubist'",
        "'area', 'bicubic', 'bilinear', 'nearest'",
        "policy.threshold = nan",
        "policy.threshhold: unknown key",
        "version = '../one'",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'from = "image"',
            'from = "picture"',
            "inputs[0].from = 'picture': no such canonical tensor; allowed: 'image'",
        ),
        ('score = "max_probability"', 'score = "best_box"', "for a task of kind 'classify'"),
        ('score = "max_probability"', 'score = "scalar"', "outputs.value"),
        ("temperature = 1.0", "temperature = 0", "policy.temperature"),
        ("temperature = 1.0", "box_threshold = 0.5", "policy.box_threshold"),
        ("shape = [28, 28, 1]", "shape = [784]", "allowed: [height, width, channels]"),
        ("shape = [28, 28, 1]", "shape = [28, 28, 0]", "canonical[0].shape"),
        ("shape = [28, 28, 1]", "shape = [28, 28, 1]\nmax_pixels = 5", "canonical[0].max_pixels"),
        ('labels = ["a", "b"', 'labels = ["b", "b"', "labels that differ"),
        ("scale = 0.00392156862745098", "scale = 0", "inputs[0].scale"),
        ("scale = 0.00392156862745098", "std = [0.0]", "inputs[0].std"),
        ("scale = 0.00392156862745098", "mean = []", "inputs[0].mean"),
        ("scale = 0.00392156862745098", 'colour = "gray"', "allowed only for an encoded image"),
        ('scores = "probabilities"', 'boxes = "probabilities"', "outputs.scores: missing"),
        ("[policy]", "[polity]", "policy: missing"),
        ("[[canonical]]", "[canonical]", "[[canonical]]"),
    ],
)
def test_a_wrong_part_is_named(old: str, new: str, told: str) -> None:
    assert old in CLASSIFIER
    assert told in problems_of(CLASSIFIER.replace(old, new))


def test_an_encoded_image_needs_a_size_and_a_colour() -> None:
    told = problems_of(without(ENCODED, "resize", "colour"))
    assert "inputs[0].resize: missing" in told
    assert "inputs[0].colour: missing" in told


def test_text_that_is_not_toml_is_one_problem() -> None:
    assert "not a TOML document" in problems_of("this is = not [ toml")


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["classify", "detect", "image", "BYTES", "NCHW", "scalar", "rgb", "area"]),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3)), max_size=4),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def to_toml(value: Any) -> str:
    """Writes inline TOML; None, which TOML lacks, becomes an empty text."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value) if math.isfinite(value) else str(value)
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case list():
            return "[" + ", ".join(map(to_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {to_toml(inner)}" for key, inner in value.items()) + "}"
        case _:
            return '""'


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_of_a_valid_manifest_gives_a_manifest_or_a_manifest_error(data: st.DataObject) -> None:
    document = copy.deepcopy(tomllib.loads(data.draw(st.sampled_from(VALID))))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(document)))
        parent: Any = document
        for key in path[:-1]:
            parent = parent[key]
        match data.draw(st.sampled_from(["replace", "delete", "add"])):
            case "replace":
                parent[path[-1]] = data.draw(leaves)
            case "delete":
                del parent[path[-1]]
            case "add" if isinstance(parent, dict):
                parent[data.draw(st.text(max_size=6))] = data.draw(leaves)
        if not places(document):
            break
    text = "\n".join(f"{json.dumps(key)} = {to_toml(value)}" for key, value in document.items())
    with contextlib.suppress(ManifestError):
        assert isinstance(parse_manifest(text), Manifest)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_manifest_error(text: str) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(text)


def test_the_manifest_in_the_documentation_is_valid() -> None:
    page = (Path(__file__).parents[4] / "docs" / "manifest.md").read_text()
    manifest = parse_manifest(page.split("```toml")[1].split("```")[0])
    assert manifest.outputs.embedding == "embedding"
