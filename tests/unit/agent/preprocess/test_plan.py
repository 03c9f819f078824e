import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upriver.errors import InvalidInput
from upriver.tensors import Datatype
from upriver_agent.preprocess import Step, make_plan
from upriver_agent.preprocess.resample import Array
from upriver_agent.versions.binding import BoundInput
from upriver_agent.versions.manifest import Canonical, Colour, InputRecipe, Interpolation, Layout, Resize
from upriver_agent.versions.model_file import ModelTensor

PIXELS = np.random.default_rng(5).integers(0, 256, (3, 8, 12, 3), np.uint8)
SIXTEENTH = Resize(4, 3, Interpolation.AREA)


def plan(
    datatype: Datatype = Datatype.UINT8,
    shape: tuple[int, ...] = (8, 12, 3),
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
    factor: tuple[float, ...] = (1.0,),
    offset: tuple[float, ...] = (0.0,),
    resize: Resize | None = None,
    layout: Layout = Layout.NHWC,
    colour: Colour | None = None,
) -> Step:
    canonical = Canonical("image", datatype, shape, encoded=datatype is Datatype.BYTES, max_pixels=10_000)
    recipe = InputRecipe("x", "image", resize, colour, layout=layout)
    tensor = ModelTensor(0, "x", "x", dtype, (), (), scale, zero_point)
    return make_plan(BoundInput(recipe, canonical, tensor, factor, offset))


def test_nothing_to_do_hands_the_callers_array_through() -> None:
    array = np.ones((2, 5), np.float32)
    assert plan(Datatype.FP32, (5,))(array) is array
    assert plan(dtype="uint8")(PIXELS) is PIXELS


def test_pixels_that_are_stored_as_they_come_are_handed_through() -> None:
    assert plan(dtype="uint8", scale=1 / 255, factor=(1 / 255,))(PIXELS) is PIXELS


def test_scale_and_offset_are_applied() -> None:
    made = plan(factor=(1 / 127.5,), offset=(-1.0,))(PIXELS)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, PIXELS / 127.5 - 1.0, atol=1e-6)


@pytest.mark.parametrize("layout", list(Layout))
def test_each_channel_has_its_own_scale_and_offset(layout: Layout) -> None:
    made = plan(factor=(0.1, 0.2, 0.3), offset=(1.0, 2.0, 3.0), layout=layout)(PIXELS)
    expected = PIXELS * np.array([0.1, 0.2, 0.3]) + np.array([1.0, 2.0, 3.0])
    if layout is Layout.NCHW:
        expected = expected.transpose(0, 3, 1, 2)
    assert made.flags.c_contiguous
    np.testing.assert_allclose(made, expected, rtol=1e-5)


@pytest.mark.parametrize("factor", [(1 / 255,), (1 / 255, 1 / 200, 1 / 300)])
def test_quantised_inputs_are_rounded_and_held_in_range(factor: tuple[float, ...]) -> None:
    made = plan(dtype="int8", scale=0.01, zero_point=-10, factor=factor)(PIXELS)
    expected = np.clip(np.rint(PIXELS * np.array(factor) / 0.01 - 10), -128, 127)
    assert made.dtype == np.int8
    assert np.abs(made.astype(int) - expected).max() <= 1  # a tie may fall either way
    assert (made != expected).mean() < 0.02


def test_floats_beyond_the_range_saturate_and_nan_is_no_accident() -> None:
    values = np.array([[1e9, -1e9, np.inf, -np.inf, np.nan, 0.0]], np.float32)
    made = plan(Datatype.FP32, (6,), dtype="int8", scale=0.5, zero_point=3)(values)
    assert made.tolist() == [[127, -128, 127, -128, -128, 3]]


def test_wide_integers_saturate_too() -> None:
    made = plan(Datatype.INT64, (3,), dtype="uint8")(np.array([[-5, 77, 3000]]))
    assert made.tolist() == [[0, 77, 255]]


def test_shrinking_by_whole_pixels_averages() -> None:
    made = plan(resize=SIXTEENTH, factor=(1 / 255,))(PIXELS)
    expected = PIXELS.reshape(3, 4, 2, 3, 4, 3).mean(axis=(2, 4)) / 255
    assert (made.dtype, made.shape) == (np.float32, (3, 4, 3, 3))
    np.testing.assert_allclose(made, expected, atol=1e-6)


def test_shrinking_into_a_quantised_tensor_rounds_only_at_the_end() -> None:
    made = plan(resize=SIXTEENTH, dtype="uint8", scale=1 / 255, factor=(1 / 255,))(PIXELS)
    expected = np.rint(PIXELS.reshape(3, 4, 2, 3, 4, 3).mean(axis=(2, 4)))
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert (made == expected).mean() > 0.9


@pytest.mark.parametrize("kind", list(Interpolation))
@pytest.mark.parametrize("datatype", [Datatype.UINT8, Datatype.FP32])
def test_rows_are_resized_independently(kind: Interpolation, datatype: Datatype) -> None:
    step = plan(datatype, resize=Resize(5, 7, kind))
    images = PIXELS.astype(np.float32 if datatype is Datatype.FP32 else np.uint8)
    together = step(images)
    alone = np.concatenate([step(images[row : row + 1]) for row in range(3)])
    assert (together.shape, together.dtype) == ((3, 5, 7, 3), np.float32)
    np.testing.assert_allclose(together, alone, atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["float32", "int8", "uint8", "int16", "int32"]),
    st.floats(-3, 3).filter(lambda value: abs(value) > 0.01),
    st.floats(-300, 300),
    st.booleans(),
    st.booleans(),
    st.sampled_from(list(Layout)),
)
def test_every_plan_computes_what_the_manifest_says(
    dtype: str, factor: float, offset: float, quantised: bool, shrunk: bool, layout: Layout
) -> None:
    scale, zero_point = (0.5, 7) if quantised and dtype in ("int8", "uint8", "int16") else (0.0, 0)
    step = plan(
        dtype=dtype,
        scale=scale,
        zero_point=zero_point,
        factor=(factor,),
        offset=(offset,),
        resize=SIXTEENTH if shrunk else None,
        layout=layout,
    )
    images = PIXELS.reshape(3, 4, 2, 3, 4, 3).mean(axis=(2, 4)) if shrunk else PIXELS.astype(float)
    expected = images * factor + offset
    if scale:
        expected = expected / scale + zero_point
    if dtype != "float32":
        bounds = np.iinfo(dtype)
        expected = np.clip(np.rint(expected), bounds.min, bounds.max)
    if layout is Layout.NCHW:
        expected = expected.transpose(0, 3, 1, 2)
    made = step(PIXELS)
    assert (made.dtype, made.shape) == (np.dtype(dtype), expected.shape)
    np.testing.assert_allclose(made, expected, atol=1e-3 if dtype == "float32" else 1, rtol=1e-5)


def png(image: Array) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def encoded_rows(*files: object) -> Array:
    rows = np.empty(len(files), object)
    rows[:] = files
    return rows


def test_encoded_images_of_any_size_become_rows_of_one() -> None:
    step = plan(Datatype.BYTES, (), resize=SIXTEENTH, colour=Colour.RGB, factor=(1 / 255,))
    sizes = [(8, 12), (4, 3), (16, 24)] * 5
    images = [np.full((height, width, 3), 51 * (row % 6), np.uint8) for row, (height, width) in enumerate(sizes)]
    made = step(encoded_rows(*map(png, images)))
    assert (made.dtype, made.shape) == (np.float32, (15, 4, 3, 3))
    np.testing.assert_allclose(made[:, 0, 0, 0], [0.2 * (row % 6) for row in range(15)], atol=1e-5)


def test_an_encoded_image_is_treated_as_its_pixels_would_be() -> None:
    from_file = plan(Datatype.BYTES, (), resize=SIXTEENTH, colour=Colour.RGB, dtype="int8", scale=1.0, zero_point=-128)
    from_pixels = plan(resize=SIXTEENTH, dtype="int8", scale=1.0, zero_point=-128)
    made, expected = from_file(encoded_rows(png(PIXELS[0]))), from_pixels(PIXELS[:1])
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert made.shape == expected.shape


def test_a_broken_image_among_good_ones_is_named_by_its_row() -> None:
    step = plan(Datatype.BYTES, (), resize=SIXTEENTH, colour=Colour.GRAY)
    with pytest.raises(InvalidInput, match="row 1"):
        step(encoded_rows(png(PIXELS[0]), b"broken"))
