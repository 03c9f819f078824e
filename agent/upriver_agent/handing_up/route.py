"""Where lessons go: to one agent of the next higher tier as long as it takes them, to the control plane else. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from upriver.discovery.port import AgentRecord
from upriver_agent.place import Place

MOST_AGENTS = 8
"""So many agents are tried before the control plane."""
PAST_AGENTS = 20
"""After so many calls that went past agents they are tried again."""


@dataclass(frozen=True, slots=True)
class Way:
    """One that lessons can be handed to: an agent by its name, or a control plane."""

    name: str
    address: str
    is_agent: bool


def ways(place: Place, agents: Sequence[AgentRecord], control_plane: Sequence[str]) -> list[Way]:
    """All ways, best first: agents above, of the next tier before higher ones and of one's own region before others."""
    above = [one for one in agents if place.is_above(one.tier) and one.agent != place.agent]
    above.sort(key=lambda one: (place.tiers.index(one.tier), one.region != place.region, not one.healthy, one.agent))
    found = [Way(one.agent, one.address, True) for one in above[:MOST_AGENTS]]
    return found + [Way(f"control plane {address}", address, False) for address in control_plane]


@dataclass(slots=True)
class Route:
    """The way that is used. It stays until it fails, so that lessons of one agent go through one parent.

    The control plane is only used while no agent takes any: those that failed are tried again now and then.
    """

    _last: Way | None = None
    _failed: set[str] = field(default_factory=set)
    _past: int = 0

    def choose(self, found: Sequence[Way]) -> Way | None:
        """The way to use now; None when there is none."""
        left = [way for way in found if way.name not in self._failed]
        if not left:
            self._failed.clear()  # all were tried: from the beginning
            left = list(found)
        if self._last is None or self._last not in left or not self._last.is_agent:
            self._last = left[0] if left else None
        return self._last

    def failed(self, way: Way) -> None:
        """It took nothing: the next one is tried."""
        self._failed.add(way.name)

    def has_other(self, found: Sequence[Way]) -> bool:
        """Whether one is left that has not failed."""
        return any(way.name not in self._failed for way in found)

    def took(self, way: Way) -> None:
        """It took what was handed to it."""
        self._last = way
        self._past = 0 if way.is_agent else self._past + 1
        if way.is_agent or self._past >= PAST_AGENTS:
            self._past = 0
            self._failed.clear()
