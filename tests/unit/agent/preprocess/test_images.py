import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upriver.errors import InvalidInput
from upriver_agent.preprocess.images import ImageDecoder
from upriver_agent.preprocess.resample import Array
from upriver_agent.versions.manifest import Colour

LIMIT = 100_000
GRADIENT = np.linspace(0, 255, 40 * 30 * 3).reshape(40, 30, 3).astype(np.uint8)


def file_of(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def decoded(content: object, colour: Colour = Colour.RGB, limit: int = LIMIT) -> Array:
    return ImageDecoder(colour, limit).decode("image", 2, content)


def refusal(content: object, limit: int = LIMIT) -> str:
    with pytest.raises(InvalidInput) as caught:
        decoded(content, limit=limit)
    told = str(caught.value)
    assert "input 'image', row 2" in told
    return told


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says that it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg_claiming(width: int, height: int) -> bytes:
    """A real JPEG whose frame header says that it is huge."""
    content = file_of(Image.fromarray(GRADIENT), "JPEG")
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def test_png_comes_out_as_it_went_in() -> None:
    np.testing.assert_array_equal(decoded(file_of(Image.fromarray(GRADIENT), "PNG")), GRADIENT)


def test_jpeg_comes_out_nearly_as_it_went_in() -> None:
    made = decoded(file_of(Image.fromarray(GRADIENT), "JPEG", quality=95))
    assert np.abs(made.astype(int) - GRADIENT).mean() < 3.0


def test_colours_are_converted_to_what_is_wanted() -> None:
    image = Image.fromarray(GRADIENT)
    gray = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(decoded(file_of(image, "PNG"), Colour.GRAY)[..., 0], gray)
    np.testing.assert_array_equal(decoded(file_of(image.convert("L"), "PNG")), np.stack([gray] * 3, axis=-1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("colour", list(Colour))
def test_every_kind_of_png_gives_eight_bits_a_channel(mode: str, colour: Colour) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 30), 200 * 257, np.uint16))
    else:
        image = Image.fromarray(np.full((40, 30, 3), 255 if mode == "1" else 200, np.uint8))
        image = image.quantize(4) if mode == "P" else image.convert(mode)
    made = decoded(file_of(image, "PNG"), colour)
    assert (made.shape, made.dtype) == ((40, 30, colour.channels), np.uint8)
    assert np.abs(made.astype(int) - (255 if mode == "1" else 200)).max() <= 1


def test_a_cmyk_jpeg_is_understood() -> None:
    assert decoded(file_of(Image.fromarray(GRADIENT).convert("CMYK"), "JPEG")).shape == (40, 30, 3)


def test_an_image_that_lies_on_its_side_is_put_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned a quarter to the right
    content = file_of(Image.fromarray(GRADIENT), "PNG", exif=exif)
    np.testing.assert_array_equal(decoded(content), np.rot90(GRADIENT, -1))


@pytest.mark.parametrize("make", [png_claiming, jpeg_claiming])
@pytest.mark.parametrize(("width", "height"), [(400, 400), (60_000, 60_000)])
def test_a_bomb_is_refused_by_its_header(make: object, width: int, height: int) -> None:
    assert callable(make)
    assert f"{LIMIT} pixels" in refusal(make(width, height))


def test_a_bomb_of_even_pixels_is_refused() -> None:
    content = file_of(Image.new("L", (4000, 4000)), "PNG")
    assert len(content) < 20_000
    assert "4000 x 4000 pixels; at most 100000" in refusal(content)


def test_a_strip_longer_than_any_image_is_refused() -> None:
    assert "pixels" in refusal(png_claiming(90_000, 1))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.8])
def test_a_truncated_file_is_refused(form: str, share: float) -> None:
    content = file_of(Image.fromarray(GRADIENT), form)
    assert "not a whole JPEG or PNG file" in refusal(content[: int(len(content) * share)])


@pytest.mark.parametrize("form", ["GIF", "BMP", "WEBP", "TIFF"])
def test_other_formats_are_refused(form: str) -> None:
    assert "not a whole JPEG or PNG file" in refusal(file_of(Image.fromarray(GRADIENT), form))


@pytest.mark.parametrize("content", [b"", b"hello", "text", 7, None])
def test_what_is_no_image_is_refused(content: object) -> None:
    assert "JPEG or PNG" in refusal(content)


WHOLE = [file_of(Image.fromarray(GRADIENT), form) for form in ("JPEG", "PNG")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=10))
def test_wrong_bytes_give_an_image_or_a_refusal(whole: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(whole)
    for at, value in changes:
        changed[at % len(changed)] = value
    try:
        made = decoded(bytes(changed))
    except InvalidInput:
        return
    assert (made.ndim, made.dtype) == (3, np.uint8)
