"""Selectors: parsed, printed, matched, compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import InvalidInput
from upriver_control.selector import Relation, Selector, Term, parse

KEYS = st.sampled_from(["tier", "region", "canary", "site/rack"])
VALUES = st.sampled_from(["device", "eu", "true", "a b", "1.2"])
TERMS = st.one_of(
    st.builds(Term, KEYS, st.sampled_from([Relation.IS, Relation.IS_NOT]), VALUES),
    st.builds(Term, KEYS, st.sampled_from([Relation.PRESENT, Relation.ABSENT])),
)
SELECTORS = st.builds(Selector, st.lists(TERMS, max_size=5).map(tuple))
LABELS = st.dictionaries(KEYS, VALUES)


@given(SELECTORS)
def test_a_selector_reads_back_as_it_was_written(selector):
    assert parse(str(selector)) == selector


@given(SELECTORS, SELECTORS, LABELS)
def test_selectors_that_match_one_agent_may_overlap(one, two, labels):
    if one.matches(labels) and two.matches(labels):
        assert one.may_overlap(two)
        assert two.may_overlap(one)


@given(SELECTORS, SELECTORS, LABELS)
def test_what_a_covered_selector_matches_the_covering_one_matches_too(one, two, labels):
    if one.covers(two) and two.matches(labels):
        assert one.matches(labels)


@given(st.text(max_size=40))
def test_any_text_is_a_selector_or_is_refused_with_a_reason(text):
    try:
        selector = parse(text)
    except InvalidInput as refused:
        reason = str(refused)
    else:
        reason = "selector"
        assert parse(str(selector)) == selector
    assert reason.startswith("selector")


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("tier=device,region=eu,canary!=true", {"tier": "device", "region": "eu"}, True),
        ("tier=device,canary!=true", {"tier": "device", "canary": "true"}, False),
        ("tier = device , !lab", {"tier": "device"}, True),
        ("!lab", {"lab": ""}, False),
        ("gpu", {"gpu": "0"}, True),
        ("gpu", {}, False),
    ],
)
def test_terms_must_all_hold(text, labels, expected):
    assert parse(text).matches(labels) is expected


@pytest.mark.parametrize("text", ["tier=", "=device", "tier=device,,x", "!", "a=b=c", "ti er=device", "a" * 3000, "a!"])
def test_a_wrong_selector_is_refused(text):
    with pytest.raises(InvalidInput, match="selector"):
        parse(text)


@pytest.mark.parametrize(
    ("one", "two", "overlap"),
    [
        ("tier=device", "tier=cloud", False),
        ("tier=device", "region=eu", True),
        ("canary=true", "canary!=true", False),
        ("canary", "!canary", False),
        ("canary=true", "!canary", False),
        ("", "tier=device", True),
    ],
)
def test_overlap(one, two, overlap):
    assert parse(one).may_overlap(parse(two)) is overlap
