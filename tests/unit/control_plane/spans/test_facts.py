"""Attributes are what anybody may have written, and are read as if."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver_control.spans.facts import (
    MAX_SHOWN,
    MAX_TEXT,
    Attributes,
    Value,
    count,
    number,
    shown,
    text,
    texts,
    truth,
)

scalars = st.text() | st.booleans() | st.integers() | st.floats() | st.binary()
values = scalars | st.lists(scalars, max_size=4).map(tuple)


@given(st.dictionaries(st.just("a"), values))
def test_whatever_is_written_what_is_read_is_of_the_type_that_is_wanted(attributes: Attributes) -> None:
    assert len(text(attributes, "a")) <= MAX_TEXT
    assert "\0" not in text(attributes, "a")
    assert all(isinstance(item, str) and len(item) <= MAX_TEXT for item in texts(attributes, "a"))
    assert count(attributes, "a") >= 0
    assert not math.isnan(number(attributes, "a") or 0.0)
    assert truth(attributes, "a") in (True, False, None)


def test_the_largest_double_stands_for_infinity() -> None:
    most = sys.float_info.max
    assert [number({"a": value}, "a") for value in (most, -most, 0.5, 3, math.inf)] == [
        math.inf,
        -math.inf,
        0.5,
        3.0,
        math.inf,
    ]
    assert [number({"a": value}, "a") for value in (True, "1", math.nan, b"")] == [None] * 4


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "true"),
        (0.97, "0.97"),
        (3, "3"),
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        (b"\x01\xff", "01ff"),
        (("device-1", "far-1"), "device-1, far-1"),
        ("x" * 2000, "x" * MAX_SHOWN),
    ],
)
def test_a_value_is_shown_as_people_read_it(value: Value, told: str) -> None:
    assert shown(value) == told
