"""A bundle's writer finds targets without python-tuf, so it must find the same bins."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tuf.api.metadata import SuccinctRoles

from upriver.errors import Untrusted, UpriverError
from upriver_control.trust.bundle import _bin_of, export_bundle


@given(st.text(), st.integers(1, 32))
def test_bins_are_those_of_the_framework(path: str, bits: int) -> None:
    roles = SuccinctRoles([], 1, bits, "bin")
    assert _bin_of(path, {"bit_length": bits, "name_prefix": "bin"}) == roles.get_role_for_target(path)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=40) | st.dictionaries(st.text(), st.integers()).map(lambda x: json.dumps(x).encode()))
def test_metadata_that_makes_no_sense_is_refused_before_anything_is_written(tmp_path, data: bytes) -> None:
    class Strange:
        def metadata(self, name: str) -> bytes | None:
            return data

        def blob(self, digest: str):
            raise AssertionError("nothing is fetched")

    with pytest.raises(Untrusted, match="no sense"):
        export_bundle(Strange(), [("digits", "v1")], tmp_path / "usb", lambda _: None)
    assert not (tmp_path / "usb").exists()
    assert issubclass(Untrusted, UpriverError)
