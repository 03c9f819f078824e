"""Calibration data as people have it: what is read is what was there, and what does not fit is named."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upriver.errors import InvalidInput, ModelInvalid
from upriver.questions import inputs_of, read_index, read_rows
from upriver_control.intake import Input, open_data, read_contract, write_questions

PIXELS = Input("image", np.dtype(np.uint8), (4, 5, 1))
FLOATS = Input("x", np.dtype("<f4"), (2, 3))
ENCODED = Input("photo", np.dtype(object), (), encoded=True)


def taken(path, contract, folder):
    """All inputs and labels that are read from a path."""
    written = write_questions(open_data(path, contract), folder / "questions", lambda rows: None)
    groups = list(read_rows(folder / "questions"))
    assert read_index(folder / "questions").rows == written.questions
    inputs = {one.name: np.concatenate([inputs_of(group)[one.name] for group in groups]) for one in contract}
    labels = [item.decode() for group in groups for item in group["labels"]] if written.has_labels else None
    return inputs, labels


def png(pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def lists(array, kind):
    flat = pa.array(array.reshape(-1))
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, array[0].size)
    if kind == "nested":
        return pa.array(array.tolist())
    return pa.array(array.reshape(len(array), -1).tolist())


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 60), seed=st.integers(0, 99), labelled=st.booleans(), by_columns=st.booleans())
def test_arrays_are_read_as_they_are(rows, seed, labelled, by_columns, tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    chance = np.random.default_rng(seed)
    x = chance.random((rows, 2, 3)).astype(np.float32)
    image = chance.integers(0, 256, (rows, 4, 5), np.uint8)
    cut = int(chance.integers(0, rows)) if rows > 1 else 0
    (folder / "data").mkdir()
    for number, part in enumerate([slice(0, cut), slice(cut, rows)] if cut else [slice(0, rows)]):
        arrays = {"x": np.asfortranarray(x[part]) if by_columns else x[part], "image": image[part]}
        if labelled:
            arrays["label"] = np.arange(rows)[part]
        np.savez(folder / "data" / f"{number}.npz", **arrays)
    inputs, labels = taken(folder / "data", (FLOATS, PIXELS), folder)
    np.testing.assert_array_equal(inputs["x"], x)
    np.testing.assert_array_equal(inputs["image"], image[..., np.newaxis])
    assert labels == ([str(number) for number in range(rows)] if labelled else None)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["list", "nested", "fixed"]),
    picture=st.sampled_from(["binary", "raw", "struct", "nested"]),
)
def test_columns_are_read_as_they_are(rows, seed, kind, picture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns")
    chance = np.random.default_rng(seed)
    x = chance.random((rows, 2, 3)).astype(np.float32)
    image = chance.integers(0, 256, (rows, 4, 5), np.uint8)
    photos = [bytes(chance.integers(0, 256, size=9, dtype=np.uint8)) for _ in range(rows)]
    images = {
        "binary": lambda: pa.array([png(one) for one in image], pa.binary()),
        "raw": lambda: pa.array([one.tobytes() for one in image], pa.large_binary()),
        "struct": lambda: pa.array([{"bytes": png(one), "path": "a.png"} for one in image]),
        "nested": lambda: pa.array(image.tolist()),
    }[picture]()
    labels = pa.array([f"l{row % 3}" for row in range(rows)]).dictionary_encode()
    table = pa.table({"x": lists(x, kind), "image": images, "photo": photos, "label": labels, "other": range(rows)})
    pq.write_table(table, folder / "data.parquet", row_group_size=7)
    inputs, told = taken(folder / "data.parquet", (FLOATS, PIXELS, ENCODED), folder)
    np.testing.assert_array_equal(inputs["x"], x)
    np.testing.assert_array_equal(inputs["image"], image[..., np.newaxis])
    assert list(inputs["photo"]) == photos
    assert told == [f"l{row % 3}" for row in range(rows)]


@pytest.mark.parametrize("contract", [PIXELS, ENCODED])
@pytest.mark.parametrize("labelled", [True, False])
def test_images_are_read_from_folders_named_as_their_labels_or_flat(contract, labelled, tmp_path):
    made = {}
    for number in range(5):
        pixels = np.full((4, 5), number, np.uint8)
        folder = tmp_path / "data" / (f"class-{number % 2}" if labelled else "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png(pixels))
        made[folder / f"{number}.png"] = pixels
    (tmp_path / "data" / "README.txt").write_text("not an image")
    inputs, labels = taken(tmp_path / "data", (contract,), tmp_path)
    files = sorted(made)
    assert labels == ([file.parent.name for file in files] if labelled else None)
    if contract.encoded:
        assert list(inputs["photo"]) == [file.read_bytes() for file in files]
    else:
        np.testing.assert_array_equal(inputs["image"][..., 0], [made[file] for file in files])


def refused(path, contract, folder) -> str:
    with pytest.raises(InvalidInput) as told:
        taken(path, contract, folder)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"y": np.zeros((3, 2, 3))}, "d.npz: has no array 'x'; it has y; expected 'x': float32 [2, 3]"),
        ({"x": np.zeros((3, 2, 4), np.float32)}, "d.npz, rows from 0 on: array 'x': float32 [2, 4] a row; expected"),
        ({"x": np.zeros((3, 3, 2), np.float32)}, "[3, 2] a row; expected [2, 3], or [6] flattened"),
        ({"x": np.zeros((3, 2, 3)), "label": np.zeros(2)}, "'label' has 2 rows"),
        ({"x": np.zeros((0, 2, 3))}, "at least one"),
        ({"x": np.array(["a"] * 6).reshape(1, 2, 3)}, "can't become float32"),
        ({"x": np.zeros((1, 2, 3)), "label": np.array([0.5])}, "label in row 0 of these is 0.5"),
        ({"x": np.array([[{}]], object)}, "Python objects"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays, told, tmp_path):
    np.savez(tmp_path / "d.npz", **arrays)
    assert told in refused(tmp_path / "d.npz", (FLOATS,), tmp_path)


def test_numbers_that_do_not_fit_a_type_are_named(tmp_path):
    image = np.zeros((3, 4, 5, 1), np.int64)
    image[2, 0, 0, 0] = 300
    np.savez(tmp_path / "d.npz", image=image)
    assert "in row 2 of these a number does not fit into uint8" in refused(tmp_path / "d.npz", (PIXELS,), tmp_path)
    np.savez(tmp_path / "d.npz", image=image / 255)
    assert "float64 can't become uint8" in refused(tmp_path / "d.npz", (PIXELS,), tmp_path)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ({"y": [1]}, "d.parquet: has no column 'x'; it has y"),
        ({"x": [[1.0] * 6, [1.0] * 5]}, "d.parquet: column 'x', row 1: 5 numbers; expected 6 ([2, 3])"),
        ({"x": [[1.0] * 6, None]}, "column 'x', row 1: is null"),
        ({"x": [[1.0] * 5 + [None]]}, "a list has a null in it"),
        ({"x": ["text"]}, "column 'x': is string"),
        ({"x": [b"1234"]}, "row 0: 4 bytes; expected 24"),
        ({"x": [[[1.0, 2.0, 3.0], []]]}, "row 0: 3 numbers"),
        ({"x": [[1.0] * 6], "label": [None]}, "column 'label', row 0: is null"),
    ],
)
def test_columns_that_do_not_fit_are_named(column, told, tmp_path):
    pq.write_table(pa.table(column), tmp_path / "d.parquet")
    assert told in refused(tmp_path / "d.parquet", (FLOATS,), tmp_path)


def test_images_that_do_not_fit_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(png(np.zeros((9, 9), np.uint8)))
    assert "a.png: 9x9 pixels; the model takes 5x4" in refused(tmp_path, (PIXELS,), tmp_path)
    assert "the model takes 'x': float32 [2, 3]" in refused(tmp_path, (FLOATS,), tmp_path)
    (tmp_path / "a.png").write_bytes(b"no image")
    assert "a.png is no image" in refused(tmp_path, (PIXELS,), tmp_path)
    (tmp_path / "seven").mkdir()
    (tmp_path / "seven" / "b.png").write_bytes(b"")
    assert "lies beside folders with images" in refused(tmp_path, (PIXELS,), tmp_path)


@pytest.mark.parametrize("name", ["d.npz", "d.parquet"])
@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 and no more", b"PAR1 and no more PAR1"])
def test_a_malformed_file_is_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert name in refused(tmp_path / name, (FLOATS,), tmp_path)


def test_a_file_that_ends_early_is_named(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(1).random((400, 2, 3)).astype(np.float32))
    whole = (tmp_path / "d.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(whole[:900] + bytes(500) + whole[1400:])
    assert "d.npz" in refused(tmp_path / "d.npz", (FLOATS,), tmp_path)


def test_what_holds_no_data_is_told_with_what_is_expected(tmp_path):
    for path in (tmp_path, tmp_path / "missing", tmp_path / "x.csv"):
        if path.suffix:
            path.write_text("a,b")
        assert "expected .npz files" in refused(path, (FLOATS,), tmp_path)
    np.savez(tmp_path / "d.npz", x=np.zeros((1, 2, 3)))
    pq.write_table(pa.table({"x": [1]}), tmp_path / "d.parquet")
    assert "expected one kind of data" in refused(tmp_path, (FLOATS,), tmp_path)


def test_files_with_and_without_labels_do_not_mix(tmp_path):
    np.savez(tmp_path / "1.npz", x=np.zeros((1, 2, 3)), label=np.zeros(1))
    np.savez(tmp_path / "2.npz", x=np.zeros((1, 2, 3)))
    assert "some files have 'label' and others do not" in refused(tmp_path, (FLOATS,), tmp_path)


def test_the_contract_is_read_from_a_manifest():
    text = """
    [[canonical]]
    name = "image"
    datatype = "UINT8"
    shape = [28, 28, 1]
    [[canonical]]
    name = "photo"
    datatype = "BYTES"
    encoding = "image"
    """
    image, photo = read_contract(text)
    assert (image.name, image.dtype, image.shape, image.is_picture) == ("image", np.uint8, (28, 28, 1), True)
    assert (photo.encoded, photo.is_picture) == (True, True)
    with pytest.raises(ModelInvalid, match="canonical"):
        read_contract("model = 'x'")
