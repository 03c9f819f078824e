"""The listing that names a version."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import ModelInvalid
from upriver.listing import GOLDEN, LIMITS, REQUIRED, format_listing, is_digest, parse_listing, version_digest

HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(HEX, HEX, st.none() | HEX)
def test_a_listing_comes_back_as_it_was_written(model: str, manifest: str, golden: str | None) -> None:
    files = {"model.tflite": model, "manifest.toml": manifest} | ({GOLDEN: golden} if golden else {})
    listing = format_listing(files)
    assert parse_listing(listing) == files
    assert version_digest(files) == "sha256:" + hashlib.sha256(listing).hexdigest()
    assert is_digest(version_digest(files))


@given(st.binary(max_size=300))
def test_what_is_no_listing_is_refused(data: bytes) -> None:
    with pytest.raises(ModelInvalid):
        parse_listing(data)


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_listing_without_a_required_file_is_refused(missing: str) -> None:
    files = {name: "0" * 64 for name in LIMITS if name != missing}
    with pytest.raises(ModelInvalid, match=missing):
        parse_listing(format_listing(files))


def test_an_order_or_a_repetition_of_its_own_is_refused() -> None:
    listing = format_listing(dict.fromkeys(LIMITS, "0" * 64))
    lines = listing.splitlines(keepends=True)
    for other in (b"".join(reversed(lines)), listing + lines[0], listing.replace(b"\n", b"\r\n")):
        with pytest.raises(ModelInvalid):
            parse_listing(other)
