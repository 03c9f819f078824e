"""The annotated examples are configurations that an agent takes, but for the files of the machines they are for."""

import tomllib
from pathlib import Path

import pytest

from upriver_agent.config import parse_config
from upriver_agent.document import override_keys
from upriver_agent.sections import AgentConfig, LearningSection

EXAMPLES = Path(__file__).resolve().parents[3] / "docs/examples"
LADDER = ("device", "far-edge", "near-edge", "cloud")


@pytest.mark.parametrize("tier", LADDER)
def test_an_example_is_a_configuration_of_its_tier(tier: str) -> None:
    config = parse_config(tomllib.loads((EXAMPLES / f"{tier}.toml").read_text()), {}, EXAMPLES)
    assert config.agent.tier == tier
    assert config.agent.tiers == LADDER
    assert config.models


def test_who_copies_the_example_of_a_device_learns_as_one_without_settings_does() -> None:
    config = parse_config(tomllib.loads((EXAMPLES / "device.toml").read_text()), {}, EXAMPLES)
    assert config.learning == LearningSection()


def test_every_tier_has_an_example() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == {*LADDER, "control"}


def test_the_examples_together_show_every_setting() -> None:
    shown: set[str] = set()
    for tier in LADDER:
        pending = list(tomllib.loads((EXAMPLES / f"{tier}.toml").read_text()).items())
        while pending:
            key, value = pending.pop()
            shown.add(key)
            if isinstance(value, dict):
                pending += [(f"{key}.{name}", inner) for name, inner in value.items()]
    assert set(override_keys(AgentConfig, "UPRIVER").values()) - shown == set()
