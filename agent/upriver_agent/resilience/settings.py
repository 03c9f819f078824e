"""The settings of all mechanisms, and what they are in a data centre, on a site's network and over a long line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from upriver_agent import document as doc
from upriver_agent.resilience.breaker import BreakerRules
from upriver_agent.resilience.budget import BudgetRules
from upriver_agent.resilience.ejection import EjectionRules
from upriver_agent.resilience.fairness import FairnessRules
from upriver_agent.resilience.hedging import HedgingRules
from upriver_agent.resilience.limit import LimitRules
from upriver_agent.resilience.sources import SourceRules

Preset = Literal["local", "lan", "wan"]
PRESET: Final[Preset] = "lan"


@dataclass(frozen=True, slots=True)
class ResilienceSection:
    """How the agent lives with upstreams that fail and callers that ask too much; `cascade.preset` sets all of it.

    The defaults are those of the preset `lan`.
    """

    breaker: BreakerRules = doc.table(BreakerRules)
    retries: BudgetRules = doc.table(BudgetRules)
    hedging: HedgingRules = doc.table(HedgingRules)
    ejection: EjectionRules = doc.table(EjectionRules)
    limit: LimitRules = doc.table(LimitRules)
    admission: FairnessRules = doc.table(FairnessRules)
    sources: SourceRules = doc.table(SourceRules)


PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    # Upstreams on the same machine or in the same rack: waits are short, and second tries are cheap.
    "local": {
        "breaker": {"first_pause_s": 0.2, "longest_pause_s": 2.0},
        "retries": {"per_s": 20.0, "burst": 40.0},
        "hedging": {"min_delay_ms": 5.0, "max_delay_ms": 250.0, "unknown_delay_ms": 50.0, "half_life_s": 15.0},
        "ejection": {"slow_floor_ms": 20.0, "first_pause_s": 5.0, "longest_pause_s": 60.0},
        "sources": {"per_s": 0.0},
    },
    # A site's network, or the sites of a town.
    "lan": {},
    # Long, thin or metered lines: what goes up twice is paid for twice, and a hiccup of seconds is no outage.
    "wan": {
        "breaker": {"failures": 8, "window_s": 30.0, "first_pause_s": 2.0, "longest_pause_s": 30.0},
        "retries": {"share": 0.1, "per_s": 2.0, "burst": 10.0},
        "hedging": {"min_delay_ms": 100.0, "max_delay_ms": 5000.0, "unknown_delay_ms": 1000.0, "half_life_s": 60.0},
        "ejection": {"interval_s": 15.0, "slow_floor_ms": 250.0, "first_pause_s": 30.0, "longest_pause_s": 300.0},
        "limit": {"initial": 64, "min": 4, "headroom": 2.0},
        "sources": {"per_s": 500.0, "burst": 1000.0},
    },
}
"""What each preset changes of the defaults."""


def with_preset(preset: object, section: object) -> object:
    """A document's [resilience] with what the preset says below it; unchanged where either is not what it may be."""
    if not isinstance(preset, str) or not isinstance(section, Mapping):
        return section
    below = PRESETS.get(preset, {})
    merged: dict[str, object] = dict(section)
    for name, settings in below.items():
        table = section.get(name, {})
        merged[name] = {**settings, **table} if isinstance(table, Mapping) else table
    return merged
