"""Times that anybody may have written are shown, whatever they are."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from upriver_control.console import units


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_time_can_be_shown(seconds: int, nanos: int) -> None:
    at = Timestamp(seconds=seconds, nanos=nanos)
    assert units.day(at).endswith(" UTC")
    assert units.ago(at, datetime(2026, 3, 4, tzinfo=UTC))


def test_a_time_is_shown_to_the_second() -> None:
    at = Timestamp(seconds=1772600767, nanos=999_999_999)
    assert units.day(at) == "2026-03-04 05:06:07 UTC"
    assert units.moment(at).microsecond == 999_999


def test_a_share_that_is_nearly_nothing_is_not_shown_as_nothing() -> None:
    assert [units.share(value) for value in (0.0, 1e-5, 0.004, 0.12)] == ["0 %", "< 0.1 %", "0.4 %", "12 %"]
