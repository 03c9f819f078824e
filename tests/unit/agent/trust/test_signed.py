"""What was signed of a version is read exactly, or refused with a reason."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control_plane_trust import made_up
from upriver.errors import Untrusted
from upriver_agent.installing.mesh_supply import SignedVersion
from upriver_agent.trust.signed import read_version

_, CUSTOM, DIGEST = made_up("v1")
NAME = "models/digits/versions/v1"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_what_the_control_plane_signs_is_read() -> None:
    version = read_version(NAME, DIGEST, CUSTOM)
    assert set(version.files) == {"model.tflite", "manifest.toml"}
    assert (version.needs.size_bytes, version.needs.memory_bytes) == (20, 1000)


@given(JSON)
def test_any_other_document_is_refused(custom: object) -> None:
    with pytest.raises(Untrusted, match=NAME):
        read_version(NAME, DIGEST, custom)


PLACES = [
    ("format",),
    ("files",),
    ("files", "model.tflite"),
    ("files", "model.tflite", "sha256"),
    ("files", "model.tflite", "size"),
    ("files", "model.tflite", "chunks"),
    ("requires",),
    ("requires", "memory_bytes"),
    ("requires", "operators"),
]


@given(st.sampled_from(PLACES), JSON)
def test_a_document_with_one_strange_part_is_read_or_refused_and_never_breaks(place, value) -> None:
    custom: dict = copy.deepcopy(CUSTOM)
    inner = custom
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        read = read_version(NAME, DIGEST, custom)
    except Untrusted:
        return
    assert isinstance(read, SignedVersion)
    assert all(file.size_bytes >= 0 for file in read.files.values())


@pytest.mark.parametrize("size", [-1, 1 << 32, True, 1.0, "10"])
def test_a_size_that_no_file_has_is_refused(size: object) -> None:
    custom: dict = copy.deepcopy(CUSTOM)
    custom["files"]["model.tflite"]["size"] = size
    with pytest.raises(Untrusted, match="bytes"):
        read_version(NAME, DIGEST, custom)
