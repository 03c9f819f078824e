"""A head in the place of a version's last layer: what it says, and which heads are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.heads import head_for, policy_with, version_with_embedding
from tests.versions import make_version
from upriver.errors import InferenceFailed, ModelInvalid
from upriver.heads import head_of, logits
from upriver.scores import probabilities
from upriver_agent.head import BoundHead, bind_head, embedding_width, problem_of
from upriver_agent.predictor import Prediction
from upriver_agent.versions import open_version


def prediction_of(embedding: np.ndarray) -> Prediction:
    rows = np.zeros((len(embedding), 3), np.float32)
    return Prediction(rows, embedding, {"p": rows, "embedding": embedding})


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("are_logits", [True, False])
def test_a_heads_scores_are_those_of_its_weights(rows: int, are_logits: bool) -> None:
    random = np.random.default_rng(rows)
    head = head_of("sha256:" + "0" * 64, tuple("abcde"), random.normal(size=(9, 5)))
    embedding = random.normal(size=(rows, 8)).astype(np.float32)
    given = prediction_of(embedding)
    found = BoundHead(head, "p", are_logits)(given)
    expected = logits(head.weights(), embedding)
    if not are_logits:
        expected = probabilities(expected, are_logits=True)
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5, atol=1e-6)
    assert found.scores.dtype == np.float32
    assert found.outputs["p"] is found.scores
    assert found.embedding is embedding


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("shift", [-5000.0, -59.0, 59.0, 5000.0])
def test_probabilities_are_right_however_large_the_logits_are(rows: int, shift: float) -> None:
    weights = np.random.default_rng(1).normal(size=(9, 5))
    weights[-1] += shift
    head = head_of("sha256:" + "0" * 64, tuple("abcde"), weights)
    embedding = np.random.default_rng(2).normal(size=(rows, 8)).astype(np.float32)
    found = BoundHead(head, "p", False)(prediction_of(embedding)).scores
    assert found is not None
    expected = probabilities(logits(head.weights(), embedding), are_logits=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_an_embedding_that_says_nothing_makes_scores_that_say_nothing(rows: int, broken: float) -> None:
    head = head_of("sha256:" + "0" * 64, ("a", "b"), np.ones((5, 2)))
    found = BoundHead(head, "p", False)(prediction_of(np.full((rows, 4), broken, np.float32)))
    assert found.scores is not None
    assert np.isnan(found.scores).all()


def test_an_embedding_of_another_width_is_told() -> None:
    head = head_of("sha256:" + "0" * 64, ("a", "b"), np.ones((5, 2)))
    with pytest.raises(InferenceFailed, match=r"\[1, 3\]; its head is on one of 4"):
        BoundHead(head, "p", False)(prediction_of(np.zeros((1, 3), np.float32)))


def test_a_policy_needs_exactly_its_head(tmp_path: Path) -> None:
    version = version_with_embedding(tmp_path)
    head = head_for(version, 1, ["new"])
    policy = policy_with(version, head)
    bound = bind_head(version, policy, head)
    assert bound is not None
    assert bound.labels == (*version.labels, "new")
    assert bind_head(version, replace(policy, head=""), None) is None
    with pytest.raises(ModelInvalid, match="which is not here"):
        bind_head(version, policy, None)
    with pytest.raises(ModelInvalid, match="expected none"):
        bind_head(version, replace(policy, head=""), head)
    with pytest.raises(ModelInvalid, match="this one is sha256"):
        bind_head(version, policy, head_for(version, 2))


def test_a_head_of_another_version_width_or_order_of_labels_is_refused(tmp_path: Path) -> None:
    version = version_with_embedding(tmp_path)
    width = embedding_width(version) or 0
    cases = {
        "is of version": head_of("sha256:" + "0" * 64, version.labels, np.ones((width + 1, 10))),
        "on an embedding of": head_of(version.digest, version.labels, np.ones((width, 10))),
        "do not begin with": head_of(version.digest, version.labels[::-1], np.ones((width + 1, 10))),
    }
    for told, head in cases.items():
        with pytest.raises(ModelInvalid, match=told):
            bind_head(version, policy_with(version, head), head)


def test_a_version_without_an_embedding_has_no_head(tmp_path: Path) -> None:
    version = open_version(make_version(tmp_path, "1", 0.0, file="float_dynamic.tflite"), tmp_path / "state")
    assert "outputs.embedding" in problem_of(version)
    other = version_with_embedding(tmp_path, "2")
    assert problem_of(other) == ""
    head = head_for(other, 1)
    with pytest.raises(ModelInvalid, match=r"names a head, and its manifest names no outputs\.embedding"):
        bind_head(version, replace(policy_with(other, head), version_digest=version.digest), head)
