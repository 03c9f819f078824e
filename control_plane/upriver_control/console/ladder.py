"""The order of tiers, lowest first, where only their names are known."""

from collections.abc import Iterable, Sequence
from typing import Final

USUAL: Final = ("device", "far-edge", "near-edge", "cloud")


def in_order(tiers: Iterable[str], ladder: Sequence[str] = USUAL) -> list[str]:
    """Tiers, lowest first; those that the ladder does not have come last, by name."""
    known = {tier: place for place, tier in enumerate(ladder)}
    return sorted(set(tiers), key=lambda tier: (known.get(tier, len(known)), tier))
