"""A version's prior: made by running it over labelled data, refused when it is not the version's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.versions import LABELS, make_version
from upriver.errors import InvalidInput, ModelInvalid
from upriver.head_statistics import HeadStatistics
from upriver.listing import LIMITS, PRIOR
from upriver_agent.examination import Order, examine
from upriver_agent.head import embedding_width, read_prior
from upriver_agent.inspection import inspect
from upriver_agent.predictor import open_predictor
from upriver_agent.versions import Version, open_version, verify_version
from upriver_control.priors import make_prior

ROWS = 600
IMAGES = np.random.default_rng(3).random((ROWS, 14, 14, 1), np.float32)
NUMBERS = np.random.default_rng(4).integers(0, 10, ROWS)


def silent(done: int, rows: int) -> None:
    assert 0 <= done <= rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with the prior of some images."""
    folder = tmp_path_factory.mktemp("version")
    made = make_version(folder, "1", 0.5)
    np.savez(folder / "training.npz", image=IMAGES, label=NUMBERS)
    make_prior(made, folder / "training.npz", silent)
    return made


def opened(folder: Path, tmp_path: Path) -> Version:
    return open_version(folder, tmp_path / "state")


def test_a_prior_has_the_sums_over_the_embeddings_of_all_that_was_given(folder: Path, tmp_path: Path) -> None:
    version = opened(folder, tmp_path)
    prior = read_prior(version)
    assert prior is not None
    assert (prior.lessons, prior.labels, prior.width) == (ROWS, LABELS, embedding_width(version))
    embedding = open_predictor(version).predict({"image": IMAGES}).embedding
    assert embedding is not None
    h = np.hstack([embedding.astype(np.float16).astype(np.float64), np.ones((ROWS, 1))])
    np.testing.assert_allclose(prior.outer, h.T @ h, rtol=1e-5)
    np.testing.assert_allclose(prior.toward, h.T @ np.eye(10)[NUMBERS], rtol=1e-5)
    assert (folder / PRIOR).stat().st_size < 4 * (len(h.T) * (len(h.T) + 21) // 2) + 2000


def test_a_version_with_a_prior_passes_and_says_that_it_can_learn(folder: Path, tmp_path: Path) -> None:
    verify_version(opened(folder, tmp_path))
    found = inspect(folder, "auto", 60.0)
    assert found.can_learn
    assert "600 training samples" in found.learning


def test_a_version_without_one_says_how_to_make_it(tmp_path: Path) -> None:
    found = inspect(make_version(tmp_path, "1", 0.5), "auto", 60.0)
    assert not found.can_learn
    assert "upriver model prior" in found.learning


def changed(folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    made = make_version(tmp_path, "1", 0.5)
    with np.load(folder / PRIOR) as arrays:
        np.savez(made / PRIOR, **change(dict(arrays)))
    return made


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda arrays: {**arrays, "labels": arrays["labels"][::-1]}, "its labels are not those of the version"),
        (lambda arrays: {**arrays, "outer": arrays["outer"] * np.nan}, "expected finite numbers"),
        (lambda arrays: {**arrays, "outer": arrays["outer"] * 0}, "sums of 0 lessons"),
        (lambda arrays: {**arrays, "outer": np.ones(6), "toward": np.ones((3, 10))}, "on an embedding of 2"),
        (lambda arrays: {"outer": arrays["outer"]}, "no arrays labels, outer and toward"),
    ],
)
def test_a_prior_that_is_not_the_versions_is_refused_when_it_is_published(
    change: Callable[[dict[str, Any]], dict[str, Any]], told: str, folder: Path, tmp_path: Path
) -> None:
    made = changed(folder, tmp_path, change)
    with pytest.raises(ModelInvalid, match=told):
        read_prior(opened(made, tmp_path))


def test_who_looks_a_version_over_looks_at_its_prior(folder: Path, tmp_path: Path) -> None:
    made = changed(folder, tmp_path, lambda arrays: {**arrays, "labels": arrays["labels"][::-1]})
    told = examine(Order(str(made)))
    assert told["kind"] == "invalid"
    assert "prior.npz" in told["problems"][0]


def test_a_prior_that_is_too_large_is_no_part_of_a_version(tmp_path: Path) -> None:
    made = make_version(tmp_path, "1", 0.5)
    (made / PRIOR).write_bytes(bytes(LIMITS[PRIOR] + 1))
    with pytest.raises(ModelInvalid, match=r"prior\.npz: more than"):
        opened(made, tmp_path)


def test_a_prior_of_a_version_without_an_embedding_is_refused(folder: Path, tmp_path: Path) -> None:
    made = make_version(tmp_path, "1", 0.5, file="float_dynamic.tflite")
    (made / PRIOR).write_bytes((folder / PRIOR).read_bytes())
    with pytest.raises(ModelInvalid, match=r"nothing can be learnt on this version: .* outputs\.embedding"):
        read_prior(opened(made, tmp_path))


@pytest.mark.parametrize(
    ("labels", "told"),
    [(NUMBERS + 1, "labels '10'"), (np.array(["class-0"] * (ROWS - 1) + ["no"]), "labels 'no'"), (None, "no labels")],
)
def test_data_whose_labels_are_not_the_versions_make_no_prior(labels: Any, told: str, tmp_path: Path) -> None:
    made = make_version(tmp_path, "1", 0.5)
    arrays = {"image": IMAGES} if labels is None else {"image": IMAGES, "label": labels}
    np.savez(tmp_path / "training.npz", **arrays)
    with pytest.raises(InvalidInput, match=told):
        make_prior(made, tmp_path / "training.npz", silent)
    assert not (made / PRIOR).exists()


def test_names_of_labels_are_taken_before_numbers(tmp_path: Path) -> None:
    made = make_version(tmp_path, "1", 0.5, labels=[str(9 - number) for number in range(10)])
    np.savez(tmp_path / "training.npz", image=IMAGES[:50], label=np.array(["9"] * 50))
    sums: HeadStatistics = make_prior(made, tmp_path / "training.npz", silent)
    assert sums.toward[-1].tolist() == [50.0, *[0.0] * 9]
