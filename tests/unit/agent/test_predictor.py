from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.models.folders import CLASSIFIER, version_folder
from upriver.errors import InferenceFailed
from upriver_agent.predictor import Predictor
from upriver_agent.preprocess.resample import Array
from upriver_agent.runtime import TensorInfo
from upriver_agent.runtime.fake import FakeRuntime
from upriver_agent.versions import Version, open_version
from upriver_agent.versions.model_file import ModelTensor


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return open_version(version_folder(tmp_path / "given", "int8_dynamic", CLASSIFIER), tmp_path / "state")


def infos(tensors: Sequence[ModelTensor]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(t.tensor_name, t.index, np.dtype(t.dtype), t.shape, t.signature, t.scale, t.zero_point)
        for t in tensors
    )


def on(version: Version, infer: Callable[[Sequence[Array]], list[Array]]) -> Predictor:
    return Predictor(version, FakeRuntime(infos(version.model.inputs), infos(version.model.outputs), infer))


def seen(version: Version, answer: list[Array]) -> tuple[Predictor, list[Array]]:
    """A predictor on a runtime that gives `answer`, and the list of what the runtime is given."""
    given: list[Array] = []

    def infer(inputs: Sequence[Array]) -> list[Array]:
        given.extend(inputs)
        return list(answer)

    return on(version, infer), given


def test_the_runtime_gets_the_tensors_own_type_and_range(version: Version) -> None:
    predictor, given = seen(version, [np.zeros((1, 4), np.int8), np.zeros((1, 10), np.int8)])
    predictor.predict({"image": np.full((1, 28, 28, 1), 255, np.uint8)})
    (image,) = given
    assert (image.dtype, image.shape) == (np.int8, (1, 14, 14, 1))
    assert set(image.ravel().tolist()) == {127}


def test_stored_values_are_turned_into_real_ones(version: Version) -> None:
    stored = np.array([[-128, 0, 127, -128, -128, -128, -128, -128, -128, -128]], np.int8)
    predictor, _ = seen(version, [np.full((1, 4), -128, np.int8), stored])
    prediction = predictor.predict({"image": np.zeros((1, 28, 28, 1), np.uint8)})
    assert prediction.scores is not None
    np.testing.assert_allclose(prediction.scores[0, :3], [0.0, 0.5, 255 / 256])
    assert prediction.outputs["embedding"].tolist() == [[0.0] * 4]


def test_scores_with_sizes_of_one_in_between_become_a_table(version: Version) -> None:
    predictor, _ = seen(version, [np.zeros((2, 4), np.int8), np.zeros((2, 1, 1, 10), np.int8)])
    scores = predictor.predict({"image": np.zeros((2, 28, 28, 1), np.uint8)}).scores
    assert scores is not None
    assert scores.shape == (2, 10)


def test_a_failing_runtime_is_not_hidden(version: Version) -> None:
    def fail(_: Sequence[Array]) -> list[Array]:
        raise InferenceFailed("out of luck")

    with pytest.raises(InferenceFailed, match="out of luck"):
        on(version, fail).predict({"image": np.zeros((1, 28, 28, 1), np.uint8)})
