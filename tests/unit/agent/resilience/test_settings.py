"""Presets set everything, what is given goes before them, and each of them is a configuration that is allowed."""

from pathlib import Path
from typing import get_args

import pytest

from upriver.errors import ConfigError
from upriver_agent.config import parse_config
from upriver_agent.document import as_document
from upriver_agent.resilience.settings import PRESET, PRESETS, Preset, ResilienceSection

BASE = Path("/etc/upriver")


def resilience(document=None, environ=None):
    return parse_config({"agent": {"tier": "device"}, **(document or {})}, environ or {}, BASE).resilience


def test_there_are_three_presets_and_the_defaults_are_one_of_them():
    assert set(PRESETS) == set(get_args(Preset))
    assert PRESETS[PRESET] == {}
    assert resilience() == resilience({"cascade": {"preset": PRESET}}) == ResilienceSection()


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_preset_says_is_what_there_is(preset):
    document = as_document(resilience({"cascade": {"preset": preset}}))
    for section, values in PRESETS[preset].items():
        for name, value in values.items():
            assert document[section][name] == value
            assert as_document(ResilienceSection())[section][name] != value, "a preset says what is different"


def test_longer_lines_mean_longer_waits():
    waits = [resilience({"cascade": {"preset": preset}}) for preset in ("local", "lan", "wan")]
    for name in ("min_delay_ms", "max_delay_ms", "unknown_delay_ms"):
        values = [getattr(section.hedging, name) for section in waits]
        assert values == sorted(set(values))
    assert [section.breaker.first_pause_s for section in waits] == [0.2, 0.5, 2.0]


def test_what_the_document_or_the_environment_says_goes_before_the_preset():
    section = resilience(
        {"cascade": {"preset": "wan"}, "resilience": {"breaker": {"failures": 3}, "limit": {"max": 9}}},
        {"UPRIVER_RESILIENCE_HEDGING_ENABLED": "false"},
    )
    assert (section.breaker.failures, section.breaker.longest_pause_s) == (3, 30.0)
    assert (section.limit.max, section.limit.min) == (9, 4)
    assert (section.hedging.enabled, section.hedging.min_delay_ms) == (False, 100.0)


def test_the_environment_chooses_the_preset():
    chosen = resilience({"cascade": {"preset": "local"}}, {"UPRIVER_CASCADE_PRESET": "wan"})
    assert chosen == resilience({"cascade": {"preset": "wan"}})


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"cascade": {"preset": "moon"}}, "cascade.preset = 'moon': expected one of: local, lan, wan"),
        ({"cascade": {"preset": ["lan"]}}, "cascade.preset = ['lan']: expected one of: local, lan, wan"),
        ({"cascade": {"preset": "wan"}, "resilience": 5}, "resilience = 5: expected a table"),
        ({"cascade": {"preset": "wan"}, "resilience": {"breaker": 5}}, "resilience.breaker = 5: expected a table"),
        (
            {"resilience": {"hedging": {"patience_share": 2}}},
            "resilience.hedging.patience_share = 2: expected a number from 0.05 to 1",
        ),
        ({"resilience": {"braker": {}}}, "resilience.braker: unknown key; did you mean breaker?"),
    ],
)
def test_what_is_not_allowed_is_told(document, told):
    with pytest.raises(ConfigError) as caught:
        resilience(document)
    assert told in caught.value.problems
