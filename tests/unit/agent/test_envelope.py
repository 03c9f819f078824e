"""Options and envelopes: what is read, what is refused and by which words, and that hops run out."""

import math
import string
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver import parameters as names
from upriver.errors import InvalidInput
from upriver.parameters import Mode
from upriver_agent.envelope import (
    DEFAULT_OPTIONS,
    MAX_VISITED,
    CallerOptions,
    Envelope,
    ParameterValue,
    envelope_to_metadata,
    first_envelope,
    is_agent_id,
    is_unsifted,
    may_hop,
    next_envelope,
    options_to_parameters,
    parse_envelope,
    parse_options,
)

ids = st.text(string.ascii_letters + string.digits + "._:@-", min_size=1, max_size=128).filter(is_agent_id)
options = st.builds(
    CallerOptions,
    mode=st.sampled_from([Mode.AUTO, Mode.TOP]),
    max_tier=st.none() | st.text(min_size=1, max_size=20),
    min_confidence=st.none() | st.floats(allow_nan=False),
    region_only=st.booleans(),
    learn=st.booleans(),
)
envelopes = st.builds(
    Envelope,
    question=ids,
    touch_point=ids,
    visited=st.lists(ids, min_size=1, max_size=MAX_VISITED).map(tuple),
    hops_left=st.integers(0, MAX_VISITED),
    byte_budget=st.none() | st.integers(0, 10**18 - 1),
    audit=st.booleans(),
    rows=st.lists(st.integers(0, 4095), max_size=20, unique=True).map(lambda rows: tuple(sorted(rows))),
)
values = st.booleans() | st.integers() | st.floats() | st.text(max_size=10)


@given(options)
def test_options_travel_up_unchanged(sent: CallerOptions) -> None:
    assert parse_options(options_to_parameters(sent)) == sent


def test_a_local_question_never_travels() -> None:
    with pytest.raises(ValueError, match="answered where it is asked"):
        options_to_parameters(CallerOptions(mode=Mode.LOCAL))


def test_parameters_of_others_are_left_alone() -> None:
    assert parse_options({"priority": 1, "binary_data": True}) is DEFAULT_OPTIONS


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        (names.MODE, "locally", "one of auto, local, top"),
        (names.MODE, 1, "one of auto, local, top"),
        (names.MAX_TIER, "", "the name of a tier"),
        (names.MAX_TIER, True, "the name of a tier"),
        (names.MIN_CONFIDENCE, math.nan, "a number"),
        (names.MIN_CONFIDENCE, True, "a number"),
        (names.MIN_CONFIDENCE, "0.9", "a number"),
        (names.REGION_ONLY, 1, "true or false"),
        (names.LEARN, "yes", "true or false"),
    ],
)
def test_a_refused_option_names_key_value_and_what_is_allowed(key: str, value: ParameterValue, allowed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_options({key: value})
    message = str(caught.value)
    assert key in message
    assert repr(value) in message
    assert allowed in message


def test_a_misspelt_option_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidInput, match=r"'upriver\.max_teir'.*upriver\.max_tier"):
        parse_options({"upriver.max_teir": "cloud"})


@given(st.dictionaries(st.sampled_from(["upriver.mode", "upriver.max_tier", "upriver.min_confidence", "x"]), values))
def test_any_parameters_are_read_or_refused(parameters: dict[str, ParameterValue]) -> None:
    try:
        parsed = parse_options(parameters)
    except InvalidInput:
        return
    assert parsed.min_confidence is None or not math.isnan(parsed.min_confidence)


@given(envelopes)
def test_an_envelope_travels_up_unchanged(sent: Envelope) -> None:
    assert parse_envelope(envelope_to_metadata(sent), max_hops=MAX_VISITED) == sent


@given(envelopes, st.integers(0, 100))
def test_forged_hops_are_capped(sent: Envelope, max_hops: int) -> None:
    pairs = [*envelope_to_metadata(sent)]
    pairs[3] = (names.META_HOPS_LEFT, "9" * 18)
    parsed = parse_envelope(pairs, max_hops)
    assert parsed is not None
    assert parsed.hops_left == min(max_hops, MAX_VISITED)


def test_a_call_without_an_envelope_has_none() -> None:
    assert parse_envelope([("user-agent", "grpc"), ("x-bin", b"\x00")], max_hops=8) is None


GOOD = dict(envelope_to_metadata(Envelope("q-1", "device-1", ("device-1", "far-1"), 6, 1000)))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        (names.META_QUESTION, "", "1 to 128"),
        (names.META_QUESTION, "q" * 129, "1 to 128"),
        (names.META_TOUCH_POINT, "a b", "letters, digits"),
        (names.META_VISITED, "a,,b", "1 to 128"),
        (names.META_VISITED, ",".join(["a"] * 65), "at most 64"),
        (names.META_VISITED, "a\n", "letters, digits"),
        (names.META_HOPS_LEFT, "-1", "a whole number"),
        (names.META_HOPS_LEFT, "٣", "a whole number"),
        (names.META_HOPS_LEFT, "9" * 19, "a whole number"),
        (names.META_BYTE_BUDGET, "1e9", "a whole number"),
        (names.META_BYTE_BUDGET, b"1", "text"),
    ],
)
def test_a_malformed_envelope_names_key_and_what_is_allowed(key: str, value: str | bytes, allowed: str) -> None:
    pairs: dict[str, str | bytes] = {**GOOD, key: value}
    with pytest.raises(InvalidInput) as caught:
        parse_envelope(pairs.items(), max_hops=8)
    message = str(caught.value)
    assert key in message
    assert allowed in message
    assert len(message) < 400


@pytest.mark.parametrize("key", [names.META_QUESTION, names.META_TOUCH_POINT, names.META_VISITED, names.META_HOPS_LEFT])
def test_an_incomplete_or_doubled_envelope_is_refused(key: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(InvalidInput, match=f"missing: {key}"):
        parse_envelope(rest.items(), max_hops=8)
    with pytest.raises(InvalidInput, match=f"{key}' appears twice"):
        parse_envelope([*GOOD.items(), (key, GOOD[key])], max_hops=8)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(GOOD)) | st.text(max_size=5), st.text(max_size=20) | st.binary(max_size=5))
    )
)
def test_any_metadata_is_read_or_refused(pairs: list[tuple[str, str | bytes]]) -> None:
    try:
        parsed = parse_envelope(pairs, max_hops=8)
    except InvalidInput:
        return
    assert parsed is None or parsed.hops_left <= 8


@given(st.integers(0, 200), st.none() | st.integers(0, 10**6), st.lists(st.integers(0, 1000), max_size=80))
def test_hops_and_budget_run_out(max_hops: int, budget: int | None, spent: list[int]) -> None:
    envelope = first_envelope("q", "agent-0", max_hops, budget)
    hops = 0
    for bytes_spent in spent:
        me = f"agent-{hops}"
        if not may_hop(envelope, me):
            break
        envelope = next_envelope(envelope, me, bytes_spent)
        hops += 1
        assert parse_envelope(envelope_to_metadata(envelope), max_hops) == envelope
        assert not may_hop(envelope, me)
    assert hops <= min(max_hops, MAX_VISITED)
    if budget is not None:
        assert envelope.byte_budget == max(0, budget - sum(spent[:hops]))


def test_an_audit_says_so_all_the_way_up() -> None:
    asked = replace(first_envelope("q-1", "me", 8, None), audit=True)
    assert parse_envelope(envelope_to_metadata(next_envelope(asked, "me", 0)), 8) == next_envelope(asked, "me", 0)
    assert next_envelope(asked, "me", 0).audit
    with pytest.raises(InvalidInput, match="upriver-audit"):
        parse_envelope([*envelope_to_metadata(next_envelope(asked, "me", 0))[:-1], ("upriver-audit", "yes")], 8)


row_numbers = st.lists(st.integers(0, 4095), min_size=1, max_size=60, unique=True).map(sorted)


@given(row_numbers, st.data())
def test_rows_keep_the_numbers_that_they_had_at_the_touch_point(rows: list[int], data: st.DataObject) -> None:
    first = next_envelope(first_envelope("q-1", "a", 8, None), "a", 0, rows)
    read = parse_envelope(envelope_to_metadata(first), 8)
    assert read == first
    assert read.rows == tuple(rows)
    assert next_envelope(read, "b", 0).rows == tuple(rows), "all of them go on"
    some: Sequence[int] = data.draw(
        st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=len(rows), unique=True).map(sorted)
    )
    assert next_envelope(read, "b", 0, some).rows == tuple(rows[index] for index in some)


@pytest.mark.parametrize("text", ["", "AA", "!!", "A", "Aé", "AQAA", "/w", "x" * 2000])
def test_row_numbers_that_nobody_wrote_are_refused(text: str) -> None:
    metadata = [
        *envelope_to_metadata(next_envelope(first_envelope("q-1", "a", 8, None), "a", 0)),
        ("upriver-rows", text),
    ]
    with pytest.raises(InvalidInput, match="upriver-rows"):
        parse_envelope(metadata, 8)


def test_an_alarm_is_told_upwards_as_long_as_nobody_on_the_way_keeps_what_is_easy() -> None:
    brought = first_envelope("q-1", "device", 8, None)
    assert is_unsifted(None)
    assert is_unsifted(brought)
    everything = next_envelope(brought, "device", 0, alarmed=True)
    assert parse_envelope(envelope_to_metadata(everything), 8) == everything
    assert is_unsifted(everything)
    assert is_unsifted(next_envelope(everything, "edge", 0, alarmed=True))
    hard = next_envelope(everything, "edge", 0)
    assert not is_unsifted(hard)
    assert not is_unsifted(next_envelope(hard, "near", 0, alarmed=True))
    assert not is_unsifted(next_envelope(brought, "device", 0))
    with pytest.raises(InvalidInput, match="upriver-alarm"):
        parse_envelope([*envelope_to_metadata(everything)[:-1], ("upriver-alarm", "0")], 8)
