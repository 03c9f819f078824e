"""Frames of known size."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver import zstd
from upriver.errors import InvalidInput


@given(st.binary(min_size=1, max_size=5000))
def test_what_is_packed_is_unpacked(data: bytes) -> None:
    assert zstd.unpack(zstd.pack(data), len(data)) == data


@given(st.binary(max_size=300), st.integers(1, 2000))
def test_whatever_comes_is_refused_or_has_its_size(frame: bytes, size: int) -> None:
    with contextlib.suppress(InvalidInput):
        assert len(zstd.unpack(frame, size)) == size


@pytest.mark.parametrize("change", [lambda f: f[:-1], lambda f: f + b"x", lambda f: f + f, lambda f: b""])
def test_a_frame_that_is_cut_or_goes_on_is_refused(change) -> None:
    frame = zstd.pack(b"a" * 100)
    with pytest.raises(InvalidInput):
        zstd.unpack(change(frame), 100)
    for size in (1, 99, 101):
        with pytest.raises(InvalidInput):
            zstd.unpack(frame, size)
