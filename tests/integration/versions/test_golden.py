"""Golden samples: what a version must give is held against what it gives, in the child process that tries it."""

import io
import shutil
import struct
import zipfile
import zlib
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.folders import ENCODED, HERE
from tests.versions import make_version
from upriver.errors import GoldenMismatch, ModelInvalid
from upriver_agent.versions import VerifyReport, open_version, verify_version
from upriver_agent.versions.golden import Golden, compare, read_golden, write_golden
from upriver_agent.versions.verify import Trial, run_trial

GENERATOR = np.random.default_rng(7)
IMAGES = GENERATOR.random((5, 14, 14, 1), np.float32)


def write(path, golden: Golden) -> None:
    with path.open("wb") as out:
        write_golden(golden, out)


def with_golden(folder, **options):
    """A version with the golden samples that it makes of IMAGES itself."""
    made = make_version(folder, "v1", 0.5, **options)
    np.savez(folder / "samples.npz", **{"inputs/image": IMAGES})
    trial = Trial(
        str(made), True, "auto", 1, 60.0, 4096, samples=str(folder / "samples.npz"), golden=str(made / "golden.npz")
    )
    assert run_trial(trial, "v1").golden_rows == 5
    return made


@pytest.mark.parametrize("file", ["float_embedding.tflite", "int8_dynamic.tflite"])
def test_golden_samples_that_a_version_made_come_out_again(tmp_path, file):
    try:
        folder = with_golden(tmp_path, file=file)
    except ModelInvalid as error:
        pytest.fail(str(error))
    version = open_version(folder, tmp_path / "state")
    assert (version.folder / "golden.npz").is_file()
    assert verify_version(version).golden_rows == 5


def test_a_version_without_golden_samples_has_none(tmp_path):
    version = open_version(make_version(tmp_path, "v1", 0.5), tmp_path / "state")
    report = verify_version(version)
    assert report.golden_rows == 0
    assert VerifyReport(**asdict(report)) == report


def test_a_mismatch_names_row_and_output(tmp_path):
    folder = with_golden(tmp_path)
    golden = read_golden(folder / "golden.npz", open_version(folder, tmp_path / "a").manifest)
    outputs = {name: array.copy() for name, array in golden.outputs.items()}
    outputs["embedding"][3, 2] += 0.5
    write(folder / "golden.npz", replace(golden, outputs=outputs))
    with pytest.raises(GoldenMismatch, match=r"^golden: row 3, output 'embedding' at \[2\]: .* 1 of 5 rows"):
        verify_version(open_version(folder, tmp_path / "state"))


def test_a_wide_tolerance_still_wants_the_same_class(tmp_path):
    folder = with_golden(tmp_path)
    version = open_version(folder, tmp_path / "a")
    golden = read_golden(folder / "golden.npz", version.manifest)
    scores = golden.outputs["probabilities"]
    turned = np.eye(10, dtype=np.float32)[(scores.argmax(axis=1) + 1) % 10] * 2
    with pytest.raises(GoldenMismatch, match="row 0, output 'probabilities': the class is 'class-"):
        compare(Golden(golden.inputs, {"probabilities": turned}, 0.66), version, {"probabilities": scores})


def test_classes_that_are_as_good_as_each_other_may_change_places(tmp_path):
    folder = with_golden(tmp_path)
    version = open_version(folder, tmp_path / "a")
    golden = read_golden(folder / "golden.npz", version.manifest)
    tied = np.zeros((5, 10), np.float32)
    tied[:, :2] = 0.5
    came = tied.copy()
    came[:, 0] -= 1e-4
    compare(replace(golden, outputs={"probabilities": tied}), version, {"probabilities": came})


def test_a_quantised_model_may_be_one_step_off(tmp_path):
    version = open_version(make_version(tmp_path, "v1", 0.5, file="int8_dynamic.tflite"), tmp_path / "a")
    name = version.manifest.outputs.scores
    step = version.model.steps[version.model.output_named(name).index]
    assert step > 1e-3
    expected = np.zeros((5, 10), np.float32)
    expected[:, 0] = 0.9
    golden = Golden({"image": IMAGES}, {name: expected}, 0.0)
    compare(golden, version, {name: expected + np.float32(step * 0.99)})
    with pytest.raises(GoldenMismatch):
        compare(golden, version, {name: expected + np.float32(step * 1.5)})


def _png(value: int) -> bytes:
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 20, 20, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress((b"\0" + bytes([value]) * 20) * 20)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_encoded_images_are_golden_samples_too(tmp_path):
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "manifest.toml").write_text(ENCODED)
    shutil.copy(HERE / "float_dynamic.tflite", folder / "model.tflite")
    images = [_png(value) for value in (0, 100, 250)]
    np.savez(
        tmp_path / "samples.npz",
        **{
            "inputs/image": np.frombuffer(b"".join(images), np.uint8),
            "inputs/image.offsets": np.cumsum([0, *map(len, images)], dtype=np.int64),
        },
    )
    trial = Trial(
        str(folder),
        True,
        "auto",
        1,
        60.0,
        4096,
        samples=str(tmp_path / "samples.npz"),
        golden=str(folder / "golden.npz"),
    )
    assert run_trial(trial, "v1").golden_rows == 3
    version = open_version(folder, tmp_path / "state")
    assert list(read_golden(folder / "golden.npz", version.manifest).inputs["image"]) == images
    assert verify_version(version).golden_rows == 3


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 6),
    tolerance=st.floats(0, 1, allow_nan=False),
    images=st.lists(st.binary(max_size=30), min_size=6, max_size=6),
)
def test_golden_samples_are_written_and_read_as_they_are(tmp_path_factory, rows, tolerance, images):
    folder = tmp_path_factory.mktemp("golden")
    (folder / "v").mkdir()
    (folder / "v" / "manifest.toml").write_text(ENCODED)
    shutil.copy(HERE / "float_dynamic.tflite", folder / "v" / "model.tflite")
    manifest = open_version(folder / "v", folder / "state").manifest
    encoded = np.empty(rows, object)
    encoded[:] = images[:rows]
    golden = Golden({"image": encoded}, {"x": np.arange(rows * 2.0).reshape(rows, 2)}, tolerance)
    write(folder / "golden.npz", golden)
    again = read_golden(folder / "golden.npz", manifest)
    assert list(again.inputs["image"]) == images[:rows]
    assert np.array_equal(again.outputs["x"], golden.outputs["x"])
    assert (again.tolerance, again.rows) == (tolerance, rows)
    first, second = io.BytesIO(), io.BytesIO()
    write_golden(golden, first)
    write_golden(again, second)
    assert first.getvalue() == second.getvalue()


GOOD = {"inputs/image": IMAGES, "outputs/probabilities": np.zeros((5, 10), np.float32)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inputs/image": None}, "has no 'inputs/image'"),
        ({"inputs/image": IMAGES[:, :7]}, "is float32"),
        ({"inputs/image": IMAGES.astype(np.float64)}, "is float64"),
        ({"inputs/image": IMAGES[:0], "outputs/probabilities": np.zeros((0, 10))}, "0"),
        ({"outputs/probabilities": None}, "has no output"),
        ({"outputs/probabilities": np.zeros((4, 10), np.float32)}, "expected numbers for 5 rows"),
        ({"outputs/probabilities": np.array(["x"] * 5)}, "expected numbers for 5 rows"),
        ({"outputs/nothing": np.zeros(5), "outputs/probabilities": None}, "has output 'nothing'; the version has"),
        ({"tolerance": np.array([1.0, 2.0])}, "expected one number"),
        ({"tolerance": np.array(-1.0)}, "expected one number"),
        ({"surprise": np.zeros(5)}, "has 'surprise'"),
        ({"outputs/probabilities": np.array([object()] * 5, object)}, "plain arrays"),
    ],
)
def test_golden_samples_that_do_not_fit_are_refused(tmp_path, change, told):
    folder = make_version(tmp_path, "v1", 0.5)
    arrays = {name: array for name, array in (GOOD | change).items() if array is not None}
    np.savez(folder / "golden.npz", **arrays)
    with pytest.raises(ModelInvalid, match=f"golden.*{told}"):
        verify_version(open_version(folder, tmp_path / "state"))


@pytest.mark.parametrize("content", [b"", b"PK\3\4 broken", b"\x93NUMPY"])
def test_golden_samples_that_are_broken_are_refused(tmp_path, content):
    folder = make_version(tmp_path, "v1", 0.5)
    (folder / "golden.npz").write_bytes(content)
    with pytest.raises(ModelInvalid, match=r"golden\.npz: can't be read"):
        verify_version(open_version(folder, tmp_path / "state"))


def test_golden_samples_that_swell_are_refused(tmp_path):
    folder = make_version(tmp_path, "v1", 0.5)
    with zipfile.ZipFile(folder / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs/image.npy", bytes(300 << 20))
    with pytest.raises(ModelInvalid, match="bytes unpacked; at most"):
        verify_version(open_version(folder, tmp_path / "state"))
