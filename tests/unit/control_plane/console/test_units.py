"""Numbers as people read them."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_control.console import units

NOW = datetime(2026, 3, 5, 14, 3, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.ms(0.000_42), "0.42 ms"),
        (units.ms(0.018), "18 ms"),
        (units.ms(0.0123), "12.3 ms"),
        (units.ms(0.9996), "1 s"),
        (units.ms(1.84), "1.84 s"),
        (units.ms(200), "3 min 20 s"),
        (units.ms(0), "0 ms"),
        (units.share(0.0043), "0.4 %"),
        (units.share(0.12), "12 %"),
        (units.share(0), "0 %"),
        (units.share(0.9926), "99 %"),
        (units.share(0.9962), "99.6 %"),
        (units.share(0.9996), "> 99.9 %"),
        (units.share(1), "100 %"),
        (units.size(840), "840 B"),
        (units.size(1234), "1.21 KiB"),
        (units.size(5 << 30), "5 GiB"),
        (units.count(1234), "1,234"),
        (units.count(1_200_000), "1.2 M"),
        (units.rate(0.4), "0.4/s"),
        (units.score(0.8734), "0.873"),
        (units.scores(0.8734, 0.9), ("0.873", "0.900")),
        (units.scores(0.99996, 1.0), ("0.99996", "1.00000")),
        (units.scores(1 - 2**-24, 1.0), ("0.9999999", "1.0000000")),  # the next float32 below 1
        (units.score(-1e-5), "0.000"),
        (units.score(-0.25), "-0.250"),
        (units.scores(0.5, 0.5), ("0.500", "0.500")),
        (units.scores(0.5, None), ("0.500", units.NONE)),
        (units.score(None), units.NONE),
        (units.score(math.inf), "∞"),
        (units.score(-1.7976931348623157e308), "-∞"),
        (units.ago(NOW - timedelta(seconds=12), NOW), "12 s ago"),
        (units.ago(NOW - timedelta(hours=3.5), NOW), "3 h ago"),
        (units.ago(NOW + timedelta(seconds=12), NOW), "now"),
        (units.day(NOW), "2026-03-05 14:03:05 UTC"),
        (units.clock(NOW), "14:03:05"),
    ],
)
def test_a_number_has_its_unit_and_few_digits(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.floats())
def test_any_number_can_be_told(value: float) -> None:
    for told in (units.ms(value), units.share(value), units.count(value), units.rate(value), units.score(value)):
        assert told
        assert "nan" not in told
        assert "inf" not in told
