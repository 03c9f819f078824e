"""Inputs as pictures: what is one, and that it is the PNG of it."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from upriver.tensors import encode_raw
from upriver_control.calling.pictures import MAX_PIXELS, is_png, picture_of, png

RNG = np.random.default_rng(3)


def read(data):
    """As another program reads it."""
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("shape", "seen"),
    [((5, 7), (5, 7)), ((5, 7, 1), (5, 7)), ((5, 7, 3), (5, 7, 3)), ((64,), (8, 8)), ((192,), (8, 8, 3))],
)
def test_bytes_are_drawn_as_they_are(shape, seen):
    pixels = RNG.integers(0, 256, shape, np.uint8)
    drawn = read(picture_of("UINT8", shape, pixels.tobytes()))
    assert drawn.shape == seen
    assert np.array_equal(drawn.reshape(-1), pixels.reshape(-1))


@pytest.mark.parametrize(
    ("datatype", "values", "expected"),
    [
        ("FP32", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("FP32", [0.0, 100.0, 255.0], [0, 100, 255]),
        ("FP32", [-1.0, 0.0, 1.0], [0, 128, 255]),
        ("FP64", [-1.7e308, 0.0, 1.7e308], [0, 128, 255]),
        ("FP32", [np.nan, np.inf, 1.0], [0, 0, 255]),
        ("INT64", [0, 16, 255], [0, 16, 255]),
        ("UINT16", [0, 32768, 65535], [0, 128, 255]),
        ("BOOL", [False, True, True], [0, 255, 255]),
        ("FP32", [3e5, 3e5, 3e5], [0, 0, 0]),
    ],
)
def test_other_numbers_are_drawn_from_black_to_white(datatype, values, expected):
    data = encode_raw(np.array([values]), datatype)
    assert read(picture_of(datatype, (1, 3), data)).reshape(-1).tolist() == expected


@pytest.mark.parametrize(
    "shape", [(), (63,), (4,), (5, 7, 2), (5, 7, 4), (2, 2, 2, 2), (0, 7), (MAX_PIXELS, 2), (-4, -2)]
)
def test_what_is_no_picture_is_not_drawn(shape):
    count = max(0, int(np.prod(shape))) if np.prod(shape, dtype=float) < 1e6 else 1
    assert picture_of("UINT8", shape, bytes(count)) == b""


def test_what_does_not_fit_its_shape_is_not_drawn():
    assert picture_of("FP32", (4, 4), bytes(63)) == b""
    assert picture_of("TEXT", (4, 4), bytes(64)) == b""


def test_a_png_is_handed_on_as_it_is_and_one_that_claims_to_be_huge_is_not():
    data = png(RNG.integers(0, 256, (3, 2, 3), np.uint8))
    assert picture_of("BYTES", (), data) == data
    assert picture_of("BYTES", (), b"a text") == b""
    huge = data[:16] + (1 << 30).to_bytes(4, "big") * 2 + data[24:]
    assert not is_png(huge)
    assert picture_of("BYTES", (), huge) == b""


@given(
    st.sampled_from(["UINT8", "FP32", "FP16", "BF16", "INT64", "BOOL"]),
    st.lists(st.integers(-3, 40), max_size=4),
    st.binary(max_size=600),
)
def test_nothing_that_an_agent_may_send_is_more_than_a_picture_or_none(datatype, shape, data):
    drawn = picture_of(datatype, shape, data)
    assert not drawn or read(drawn).size > 0
