"""The order of tiers, by which they are coloured: lowest first."""

from collections.abc import Iterable, Sequence
from typing import Final

USUAL: Final = ("device", "far-edge", "near-edge", "cloud")
COLOURS: Final = 5


def tier_class(tier: str, ladder: Sequence[str] = USUAL) -> str:
    """The class that gives something its tier's colour: `tier-0` is the lowest's, the fifth's repeats."""
    return f"tier-{min(ladder.index(tier), COLOURS - 1)}" if tier in ladder else "tier-none"


def in_order(tiers: Iterable[str], ladder: Sequence[str] = USUAL) -> list[str]:
    """Tiers, lowest first; those that the ladder does not have come last, by name."""
    known = {tier: place for place, tier in enumerate(ladder)}
    return sorted(set(tiers), key=lambda tier: (known.get(tier, len(known)), tier))
