"""Flags have a bit, a name and a number in the protocol, and all three are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import InvalidInput
from upriver.v1 import question_pb2
from upriver_control.spans.flags import Flag, flags_named, from_numbers, names_of, to_numbers


def test_the_protocol_has_the_same_flags_under_the_same_numbers() -> None:
    protocol = dict(question_pb2.QuestionFlag.items())
    assert protocol.pop("QUESTION_FLAG_UNSPECIFIED") == 0
    assert {f"QUESTION_FLAG_{flag.name}": to_numbers(flag) for flag in Flag} == {
        name: (number,) for name, number in protocol.items()
    }


@given(st.integers(0, sum(Flag)))
def test_names_and_numbers_say_the_same_flags(flags: int) -> None:
    assert flags_named(names_of(flags)) == flags
    assert from_numbers(to_numbers(flags)) == flags


def test_a_flag_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no flag 'slow'; expected one of escalated, degraded"):
        flags_named(["hedged", "slow"])
    for number in (0, 9):
        with pytest.raises(InvalidInput, match="expected 1 to 8"):
            from_numbers([number])
