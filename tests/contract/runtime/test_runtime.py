"""What every runtime must do, run on LiteRT and on tflite-runtime.

The two do not live in one venv (tflite-runtime needs numpy<2), so each venv runs the suite on the runtime that it has:
`scripts/test` does it in both. Needs only numpy, pytest, the runtime, and this repository on the path.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from upriver.errors import InferenceFailed, InvalidInput, ModelInvalid, RuntimeMissing
from upriver_agent.runtime import Array, Runtime, RuntimeKind, open_runtime
from upriver_agent.runtime.interpreter import SIZES_OF_SMALL

MODELS = Path(__file__).parents[2] / "models"
PACKAGES: dict[RuntimeKind, str] = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
HERE = [kind for kind, package in PACKAGES.items() if importlib.util.find_spec(package) is not None]


def open_model(kind: RuntimeKind, name: str, threads: int = 1) -> Runtime:
    return open_runtime(kind, MODELS / f"{name}.tflite", threads)


def images(rows: int, side: int = 14) -> Array:
    return np.random.default_rng(7).random((rows, side, side, 1), np.float32)


@pytest.fixture(params=HERE)
def kind(request: pytest.FixtureRequest) -> RuntimeKind:
    chosen: RuntimeKind = request.param
    return chosen


def test_there_is_a_runtime_to_test() -> None:
    assert HERE


def test_it_tells_its_name_and_version(kind: RuntimeKind) -> None:
    name, version = open_model(kind, "float_dynamic").name.split()
    assert name == kind
    assert version[0].isdigit()


def test_auto_takes_what_is_installed() -> None:
    assert open_runtime("auto", MODELS / "float_dynamic.tflite").name.split()[0] == HERE[0]


def test_a_runtime_that_is_not_installed_names_what_to_install() -> None:
    for kind in PACKAGES:
        if kind not in HERE:
            with pytest.raises(RuntimeMissing, match=r"upriver\[agent\]"):
                open_model(kind, "float_dynamic")


def test_tensors_are_described(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "int8_dynamic")
    (image,) = runtime.inputs
    assert (image.dtype, image.shape, image.signature) == (np.int8, (1, 14, 14, 1), (-1, 14, 14, 1))
    assert image.scale == pytest.approx(1 / 255, rel=0.01)
    assert image.zero_point == -128
    assert sorted(tensor.shape for tensor in runtime.outputs) == [(1, 4), (1, 10)]


def test_a_float_tensor_has_no_scale(kind: RuntimeKind) -> None:
    assert open_model(kind, "float_dynamic").inputs[0].scale == 0.0


@pytest.mark.parametrize("model", ["float_dynamic", "float_fixed1", "float_fixed4"])
@pytest.mark.parametrize("rows", [1, 2, 4, 5, 9])
def test_rows_are_answered_alike_alone_and_together(kind: RuntimeKind, model: str, rows: int) -> None:
    runtime = open_model(kind, model)
    batch = images(rows)
    (together,) = runtime.infer([batch])
    alone = np.concatenate([runtime.infer([batch[row : row + 1]])[0] for row in range(rows)])
    assert together.shape == (rows, 10)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1.0, atol=1e-5)


def test_free_and_fixed_batches_agree(kind: RuntimeKind) -> None:
    batch = images(6)
    free, one, four = (
        open_model(kind, name).infer([batch])[0] for name in ("float_dynamic", "float_fixed1", "float_fixed4")
    )
    np.testing.assert_allclose(free, one, atol=1e-6)
    np.testing.assert_allclose(free, four, atol=1e-6)


def test_integers_go_in_and_come_out_as_they_are_stored(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "uint8_fixed1")
    (stored,) = runtime.infer([np.full((3, 14, 14, 1), 128, np.uint8)])
    assert (stored.dtype, stored.shape) == (np.uint8, (3, 10))
    assert (stored == stored[0]).all()


def test_the_quantised_model_is_close_to_the_float_one(kind: RuntimeKind) -> None:
    batch = images(8)
    runtime = open_model(kind, "int8_dynamic")
    (image,) = runtime.inputs
    stored = np.clip(np.rint(batch / image.scale) + image.zero_point, -128, 127).astype(np.int8)
    results = dict(zip((tensor.shape[1] for tensor in runtime.outputs), runtime.infer([stored]), strict=True))
    scores = next(tensor for tensor in runtime.outputs if tensor.shape[1] == 10)
    real = (results[10].astype(np.float32) - scores.zero_point) * scores.scale
    np.testing.assert_allclose(real, open_model(kind, "float_dynamic").infer([batch])[0], atol=0.05)


def test_several_inputs_and_outputs_keep_their_order(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "two_by_two")
    given = {4: np.ones((5, 4), np.float32), 3: np.arange(30, dtype=np.float32).reshape(5, 2, 3)}
    results = runtime.infer([given[tensor.shape[-1]] for tensor in runtime.inputs])
    by_size = dict(zip((tensor.shape[1] for tensor in runtime.outputs), results, strict=True))
    np.testing.assert_allclose(by_size[2], given[3].prod(axis=2), rtol=1e-5)
    assert by_size[3].shape == (5, 3)


def test_a_detector_gives_all_its_outputs_by_row(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "detector")
    assert sorted(result.shape for result in runtime.infer([images(2, 16)])) == [(2,), (2, 4), (2, 4), (2, 4, 4)]


def test_results_are_not_overwritten_by_the_next_call(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "float_dynamic")
    (first,) = runtime.infer([images(1)])
    kept = first.copy()
    runtime.infer([1.0 - images(1)])
    np.testing.assert_array_equal(first, kept)


def test_inputs_are_not_changed_and_may_be_read_only_or_strided(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "float_dynamic")
    batch = images(2)
    frozen = np.frombuffer(batch.tobytes(), np.float32).reshape(batch.shape)
    strided = np.repeat(batch, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(runtime.infer([frozen])[0], runtime.infer([batch])[0])
    np.testing.assert_array_equal(runtime.infer([strided])[0], runtime.infer([batch])[0])
    np.testing.assert_array_equal(batch, images(2))


def test_many_batch_sizes_in_any_order_stay_right(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "float_dynamic")
    everything = images(40)
    (expected,) = runtime.infer([everything])
    for rows in [*range(1, 3 * SIZES_OF_SMALL), 1, 40, 2, 17, 1]:
        np.testing.assert_allclose(runtime.infer([everything[:rows]])[0], expected[:rows], atol=1e-6)


def test_two_threads_give_the_same_answers(kind: RuntimeKind) -> None:
    batch = images(3)
    np.testing.assert_allclose(
        open_model(kind, "float_dynamic", 2).infer([batch])[0],
        open_model(kind, "float_dynamic").infer([batch])[0],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 14, 14, 3), np.float32),
        np.zeros((1, 14, 14), np.float32),
        np.zeros((0, 14, 14, 1), np.float32),
        np.zeros((1, 14, 14, 1), np.float64),
        np.zeros((1, 14, 14, 1), np.uint8),
    ],
)
@pytest.mark.parametrize("model", ["float_dynamic", "float_fixed1"])
def test_arrays_that_do_not_fit_are_refused_and_the_next_ones_answered(
    kind: RuntimeKind, model: str, wrong: Array
) -> None:
    runtime = open_model(kind, model)
    with pytest.raises(InvalidInput):
        runtime.infer([wrong])
    assert runtime.infer([images(1)])[0].shape == (1, 10)


def test_a_wrong_number_of_tensors_is_refused(kind: RuntimeKind) -> None:
    with pytest.raises(InvalidInput, match="takes 2 tensors, got 1"):
        open_model(kind, "two_by_two").infer([np.ones((1, 4), np.float32)])


@pytest.mark.parametrize("content", [b"", b"no model at all, but long enough to be looked at", bytes(4) + b"TFL3"])
def test_a_file_that_is_no_model_is_refused(kind: RuntimeKind, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelInvalid):
        open_runtime(kind, path)


def test_a_missing_file_is_named(kind: RuntimeKind, tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"gone\.tflite"):
        open_runtime(kind, tmp_path / "gone.tflite")


def test_a_model_that_fails_while_it_runs_says_so(kind: RuntimeKind) -> None:
    runtime = open_model(kind, "out_of_bounds")
    with pytest.raises(InferenceFailed, match="out of bounds"):
        runtime.infer([np.full((1, 1), 99.0, np.float32)])
    assert runtime.infer([np.full((1, 1), 3.0, np.float32)])[0].tolist() == [[3.0]]
