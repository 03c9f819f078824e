"""What callers pass becomes what the model's contract asks for, or an error that says why not."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from upriver.answer import ModelMetadata, TensorSpec
from upriver.errors import InvalidInput
from upriver.images import MAX_PIXELS
from upriver.inputs import load_array, to_batch
from upriver.tensors import DTYPES

RNG = np.random.default_rng(5)


def model(*inputs):
    return ModelMetadata("m", ("1",), "tflite", tuple(TensorSpec(*spec) for spec in inputs), ())


GRAY = model(("image", "UINT8", (6, 8, 1)))
RGB = model(("image", "UINT8", (6, 8, 3)))
ENCODED = model(("image", "BYTES", ()))
FLOATS = model(("x", "FP32", (2, 3)))


def only(batch):
    assert len(batch.tensors) == 1
    return batch.tensors[0].array


def png(image):
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


@given(st.data())
def test_an_array_is_one_question_or_a_batch_by_its_shape(data):
    datatype = data.draw(st.sampled_from(list(DTYPES)))
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=3, max_side=3))
    rows = data.draw(st.integers(1, 4))
    array = data.draw(npst.arrays(DTYPES[datatype], (rows, *shape)))
    contract = model(("x", datatype, shape))
    together = to_batch(array, contract)
    assert (together.rows, together.single, only(together).dtype) == (rows, False, DTYPES[datatype])
    np.testing.assert_array_equal(only(together), array)
    alone = to_batch(np.asarray(array[0]), contract)
    assert (alone.rows, alone.single) == (1, True)
    np.testing.assert_array_equal(only(alone), array[:1])
    listed = to_batch([np.asarray(row) for row in array], contract)
    assert (listed.rows, listed.single) == (rows, False)
    np.testing.assert_array_equal(only(listed), array)


def test_a_size_that_may_be_any_takes_any():
    contract = model(("x", "FP32", (-1, 2)))
    assert only(to_batch(np.zeros((5, 2)), contract)).shape == (1, 5, 2)
    assert only(to_batch(np.zeros((3, 5, 2)), contract)).shape == (3, 5, 2)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((2, 2), np.float32), r"shape \[2, 2\] is neither one question \[2, 3\] nor a batch \[rows, 2, 3\]"),
        (np.zeros((0, 2, 3), np.float32), "at least one"),
        ([], "at least one"),
        ([np.zeros((2, 3)), np.zeros((3, 2))], r"row 1: expected shape \[2, 3\], got \[3, 2\]"),
        ([1.0, 2.0], "row 0: got float; expected a NumPy array"),
        (None, "got NoneType"),
        (np.zeros((2, 3), complex), "expected FP32, got an array of complex128"),
        (np.full((2, 3), 1e300), "too large for FP32"),
        (b"\x89PNG", "an image can't become x"),
        ({"y": np.zeros((2, 3))}, r"unknown input 'y'; input 'x' is missing; model 'm' takes: x \(FP32"),
    ],
)
def test_what_does_not_fit_is_told(array, told):
    with pytest.raises(InvalidInput, match=told):
        to_batch(array, FLOATS)


def test_a_forgotten_last_dimension_is_pointed_out():
    with pytest.raises(InvalidInput, match="add the last dimension"):
        to_batch(np.zeros((6, 8), np.uint8), GRAY)


def test_numbers_are_converted_only_when_their_values_stay():
    contract = model(("x", "UINT8", (3,)))
    assert only(to_batch(np.array([1, 2, 255]), contract)).dtype == np.uint8
    with pytest.raises(InvalidInput, match=r"outside UINT8 \[0, 255\]"):
        to_batch(np.array([1, 2, 256]), contract)
    with pytest.raises(InvalidInput, match="expected UINT8, got an array of float64"):
        to_batch(np.array([0.5, 1.0, 2.0]), contract)
    assert only(to_batch(np.array([[1, 2, 3]] * 2), model(("x", "FP64", (3,))))).dtype == np.float64
    assert only(to_batch(np.array([0.1, 0.2, 0.3]), model(("x", "BF16", (3,))))).dtype == np.float32


def test_several_inputs_are_passed_by_name_and_need_the_same_rows():
    contract = model(("a", "FP32", ()), ("b", "INT64", (2,)))
    batch = to_batch({"b": np.array([[1, 2], [3, 4]]), "a": np.array([0.5, 0.25])}, contract)
    assert [tensor.name for tensor in batch.tensors] == ["a", "b"]
    assert (batch.rows, batch.single) == (2, False)
    single = to_batch({"a": np.float32(1), "b": np.array([1, 2])}, contract)
    assert (single.rows, single.single) == (1, True)
    with pytest.raises(InvalidInput, match="a has 2, b has 1"):
        to_batch({"a": np.array([0.5, 0.25]), "b": np.array([1, 2])}, contract)
    with pytest.raises(InvalidInput, match=r"takes 2 inputs; pass them by name: a \(FP32 \[rows\]\)"):
        to_batch(np.array([0.5]), contract)


def test_an_image_becomes_the_pixels_that_the_model_takes():
    pixels = RNG.integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(pixels)
    np.testing.assert_array_equal(only(to_batch(image, RGB))[0], pixels)
    np.testing.assert_array_equal(only(to_batch(png(image), RGB))[0], pixels)
    np.testing.assert_array_equal(only(to_batch(image, GRAY))[0, :, :, 0], np.asarray(image.convert("L")))
    larger = only(to_batch(image.resize((80, 60)), RGB))
    assert (larger.shape, larger.dtype) == ((1, 6, 8, 3), np.uint8)
    flat = model(("image", "UINT8", (6, 8)))
    assert only(to_batch([image, png(image)], flat)).shape == (2, 6, 8)


def test_an_image_is_turned_upright():
    pixels = RNG.integers(0, 256, (8, 6), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned right by a quarter
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG", exif=exif)
    np.testing.assert_array_equal(only(to_batch(made.getvalue(), GRAY))[0, :, :, 0], np.rot90(pixels, -1))


def test_an_encoded_image_goes_as_it_is(tmp_path):
    content = png(Image.fromarray(RNG.integers(0, 256, (5, 5), np.uint8)))
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for form in (content, path, str(path), bytearray(content)):
        batch = to_batch(form, ENCODED)
        assert (only(batch).tolist(), batch.single) == ([content], True)
        assert type(only(batch)[0]) is bytes
    assert only(to_batch([path, content], ENCODED)).tolist() == [content, content]
    assert only(to_batch(np.array([b"a", b"b"], object), ENCODED)).tolist() == [b"a", b"b"]
    assert only(to_batch([content], model(("image", "BYTES", (1,))))).tolist() == [[content]]


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_pixels_for_an_encoded_contract_are_sent_as_png_without_loss(shape):
    pixels = RNG.integers(0, 256, shape, np.uint8)
    for form in (pixels, [pixels]):
        (content,) = only(to_batch(form, ENCODED)).tolist()
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))).reshape(shape), pixels)
    assert only(to_batch(np.stack([pixels.reshape(5, 4, -1)] * 2), ENCODED)).shape == (2,)


def test_array_files_are_arrays(tmp_path):
    np.save(tmp_path / "one.npy", np.ones((2, 3), np.float32))
    np.save(tmp_path / "many.npy", np.ones((4, 2, 3), np.float32))
    assert to_batch(tmp_path / "one.npy", FLOATS).single
    assert to_batch([tmp_path / "one.npy", str(tmp_path / "one.npy")], FLOATS).rows == 2
    assert load_array(tmp_path / "many.npy").shape == (4, 2, 3)
    with pytest.raises(InvalidInput, match=r"many\.npy: expected shape \[2, 3\], got \[4, 2, 3\]"):
        to_batch(str(tmp_path / "many.npy"), FLOATS)  # a path is one question, whatever it holds
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match=r"bad\.npy: not a NumPy array file"):
        to_batch(tmp_path / "bad.npy", FLOATS)
    np.save(tmp_path / "code.npy", np.array([object()], object), allow_pickle=True)
    with pytest.raises(InvalidInput, match=r"code\.npy"):
        to_batch(tmp_path / "code.npy", FLOATS)


@pytest.mark.parametrize("contract", [GRAY, ENCODED, FLOATS])
@pytest.mark.parametrize("name", ["missing.png", "missing.npy", "."])
def test_a_file_that_can_not_be_read_is_named(tmp_path, contract, name):
    with pytest.raises(InvalidInput, match="can't be read"):
        to_batch(tmp_path / name, contract)


@given(st.binary(max_size=64))
def test_bytes_that_are_no_image_are_refused(content):
    with pytest.raises(InvalidInput, match=r"no image|broken"):
        to_batch(content, GRAY)


@given(st.integers(8, 400))
def test_a_cut_image_is_refused(length):
    content = png(Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 20), np.uint8)))
    with pytest.raises(InvalidInput, match=r"no image|broken"):
        to_batch(content[:length], GRAY)


def test_an_image_bomb_is_refused_before_it_is_decoded():
    side = int(MAX_PIXELS**0.5) + 1
    bomb = png(Image.new("1", (side, side)))
    with pytest.raises(InvalidInput, match="pixels"):
        to_batch(bomb, GRAY)


def test_a_format_whose_decoder_starts_another_program_is_refused():
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    assert Image.open(io.BytesIO(content)).format == "EPS"
    with pytest.raises(InvalidInput, match="expected one of JPEG, PNG"):
        to_batch(content, GRAY)


def test_without_pillow_arrays_and_encoded_images_still_go_and_the_rest_names_the_extra():
    program = """
import sys
sys.modules["PIL"] = None  # as if it were not installed
import numpy as np
from upriver.answer import ModelMetadata, TensorSpec
from upriver.errors import RuntimeMissing
from upriver.inputs import to_batch
pixels = ModelMetadata("m", (), "", (TensorSpec("x", "UINT8", (2, 2)),), ())
encoded = ModelMetadata("m", (), "", (TensorSpec("x", "BYTES", ()),), ())
assert to_batch(np.zeros((2, 2), np.uint8), pixels).single
assert to_batch(b"encoded", encoded).single
try:
    to_batch(b"encoded", pixels)
except RuntimeMissing as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "upriver[images]" in run.stdout
