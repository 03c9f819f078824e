"""Where an agent stands: its tier on the ladder, and its region."""

from collections.abc import Sequence
from dataclasses import dataclass

from upriver import parameters as names
from upriver.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Place:
    """One agent's place; `tiers` is the ladder, lowest first, and has `tier` in it once."""

    agent: str
    tier: str
    region: str
    tiers: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.tiers.count(self.tier) != 1 or len(set(self.tiers)) != len(self.tiers):
            raise ValueError(f"tier {self.tier!r} on the ladder {self.tiers}: expected different names, it among them")

    @property
    def rank(self) -> int:
        """The tier's position on the ladder, 0 for the lowest."""
        return self.tiers.index(self.tier)

    def is_above(self, tier: str) -> bool:
        """Whether a tier is on the ladder, and higher than ours."""
        return tier in self.tiers and self.tiers.index(tier) > self.rank

    def skip_problem(self, escalate_to: str) -> str:
        """Why a policy's `escalate_to` can't be followed from here; empty when it can, or names no tier."""
        if not escalate_to or self.is_above(escalate_to):
            return ""
        above = ", ".join(self.tiers[self.rank + 1 :]) or "none, this is the top"
        return f"escalate_to = {escalate_to!r}: expected a tier above {self.tier!r} ({above}); the next one is asked"


def highest_rank(tiers: Sequence[str], max_tier: str | None) -> int:
    """Position of the highest tier that may answer; raises InvalidInput when `max_tier` is not on the ladder."""
    if max_tier is None:
        return len(tiers) - 1
    if max_tier not in tiers:
        raise InvalidInput(f"parameter {names.MAX_TIER!r} is {max_tier!r}: expected one of {', '.join(tiers)}")
    return tiers.index(max_tier)
