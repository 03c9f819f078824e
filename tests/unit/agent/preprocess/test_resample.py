import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upriver_agent.preprocess.resample import Array, resampling, weights, whole_shrink
from upriver_agent.versions.manifest import Interpolation

SIZES = st.integers(1, 70)
KINDS = st.sampled_from(Interpolation)
PILLOW = {
    Interpolation.BILINEAR: Image.Resampling.BILINEAR,
    Interpolation.BICUBIC: Image.Resampling.BICUBIC,
    Interpolation.NEAREST: Image.Resampling.NEAREST,
    Interpolation.AREA: Image.Resampling.BOX,
}


def picture(height: int, width: int, channels: int, seed: int = 3) -> Array:
    """Noise on a gradient: hard edges and smooth parts."""
    generator = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, height * width * channels).reshape(height, width, channels)
    return np.clip(ramp + generator.integers(0, 56, ramp.shape), 0, 255).astype(np.uint8)


def resized(image: Array, height: int, width: int, kind: Interpolation) -> Array:
    return resampling(image.shape[0], image.shape[1], height, width, kind)(image[np.newaxis])[0]


@settings(max_examples=300, deadline=None)
@given(SIZES, SIZES, KINDS)
def test_weights_of_every_output_pixel_add_up_to_one(size: int, out: int, kind: Interpolation) -> None:
    made = weights(size, out, kind)
    np.testing.assert_allclose(made.matrix.sum(axis=1), 1.0, atol=1e-5)
    for row, start, stop in zip(made.matrix, made.starts, made.stops, strict=True):
        assert 0 <= start < stop <= size
        assert not row[:start].any()
        assert not row[stop:].any()


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, SIZES, SIZES, KINDS, st.integers(0, 255))
def test_an_even_surface_stays_even(
    height: int, width: int, out_height: int, out_width: int, kind: Interpolation, value: int
) -> None:
    made = resized(np.full((height, width, 1), value, np.uint8), out_height, out_width, kind)
    np.testing.assert_allclose(made, value, atol=0.01)


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, SIZES, SIZES)
def test_area_keeps_the_mean(height: int, width: int, out_height: int, out_width: int) -> None:
    image = picture(height, width, 1)
    assert resized(image, out_height, out_width, Interpolation.AREA).mean() == pytest.approx(image.mean(), abs=0.02)


@settings(max_examples=100, deadline=None)
@given(SIZES, KINDS)
def test_the_same_size_changes_nothing(size: int, kind: Interpolation) -> None:
    assert weights(size, size, kind).is_identity


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, KINDS)
def test_a_mirrored_image_gives_a_mirrored_result(size: int, out: int, kind: Interpolation) -> None:
    if kind is Interpolation.NEAREST:
        return  # on a tie it takes the pixel to the right, whichever way the image lies
    matrix = weights(size, out, kind).matrix
    np.testing.assert_allclose(matrix[::-1, ::-1], matrix, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("to", [(14, 14), (20, 31), (64, 9), (100, 120)])
@pytest.mark.parametrize("kind", [Interpolation.BILINEAR, Interpolation.BICUBIC])
def test_it_is_what_pillow_does_up_to_its_rounding(kind: Interpolation, to: tuple[int, int], channels: int) -> None:
    image = picture(56, 84, channels)
    theirs = Image.fromarray(image[..., 0] if channels == 1 else image).resize((to[1], to[0]), PILLOW[kind])
    ours = np.clip(resized(image, to[0], to[1], kind), 0, 255)
    # Pillow rounds to 8 bits after each of its two passes.
    assert np.abs(ours - np.asarray(theirs).reshape(ours.shape)).max() <= 1.5


@pytest.mark.parametrize("to", [(14, 14), (20, 31), (64, 9), (100, 120)])
def test_nearest_is_pillows_but_for_centres_between_two_pixels(to: tuple[int, int]) -> None:
    image = picture(56, 84, 1)
    theirs = np.asarray(Image.fromarray(image[..., 0]).resize((to[1], to[0]), PILLOW[Interpolation.NEAREST]))
    ours = resized(image, *to, Interpolation.NEAREST)[..., 0]
    # There Pillow's choice hangs on the rounding of a running sum.
    clear_rows = [i for i in range(to[0]) if (2 * i + 1) * 56 % (2 * to[0])]
    clear_columns = [i for i in range(to[1]) if (2 * i + 1) * 84 % (2 * to[1])]
    assert np.array_equal(ours[np.ix_(clear_rows, clear_columns)], theirs[np.ix_(clear_rows, clear_columns)])


@pytest.mark.parametrize("to", [(28, 42), (14, 21), (8, 7)])
def test_area_is_pillows_box_where_pixels_divide(to: tuple[int, int]) -> None:
    image = picture(56, 84, 3)
    theirs = Image.fromarray(image).resize((to[1], to[0]), PILLOW[Interpolation.AREA])
    assert np.abs(resized(image, *to, Interpolation.AREA) - np.asarray(theirs)).max() <= 1.0


@pytest.mark.parametrize("kind", list(Interpolation))
def test_large_images_go_band_by_band_to_the_same_result(kind: Interpolation) -> None:
    image = picture(700, 530, 3)
    vertical, horizontal = weights(700, 37, kind).matrix, weights(530, 41, kind).matrix
    expected = np.einsum("ih,hwc,jw->ijc", vertical, image.astype(np.float32), horizontal, optimize=True)
    np.testing.assert_allclose(resized(image, 37, 41, kind), expected, atol=0.01)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([np.uint8, np.float32]),
)
def test_whole_shrinks_are_exact_areas(
    out_height: int, out_width: int, down: int, across: int, channels: int, rows: int, dtype: type
) -> None:
    generator = np.random.default_rng(out_height * 31 + down)
    images = generator.integers(0, 256, (rows, out_height * down, out_width * across, channels)).astype(dtype)
    shrink = whole_shrink(images.shape[1], images.shape[2], out_height, out_width, images.dtype)
    assert shrink is not None
    expected = resampling(images.shape[1], images.shape[2], out_height, out_width, Interpolation.AREA)(images)
    np.testing.assert_allclose(shrink(images) * shrink.share, expected, atol=0.01)


def test_all_white_does_not_overflow() -> None:
    images = np.full((1, 400, 400, 1), 255, np.uint8)
    shrink = whole_shrink(400, 400, 2, 2, images.dtype)
    assert shrink is not None
    np.testing.assert_allclose(shrink(images) * shrink.share, 255.0, rtol=1e-6)


def test_sizes_that_do_not_divide_have_no_whole_shrink() -> None:
    assert whole_shrink(28, 28, 14, 13, np.dtype(np.uint8)) is None
    assert whole_shrink(14, 14, 28, 28, np.dtype(np.uint8)) is None
    assert whole_shrink(28, 28, 14, 14, np.dtype(np.float64)) is None
