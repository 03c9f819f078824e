"""Where lessons go: to one agent of the next higher tier as long as it takes them, to the control plane else. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from upriver.discovery.port import AgentRecord
from upriver_agent.place import Place

MOST_AGENTS = 8
"""So many agents are tried before the control plane."""


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
    """The way that is used. It stays until it fails, so that lessons of one agent go through one parent."""

    _last: Way | None = None
    _failed: set[str] = field(default_factory=set)

    def choose(self, found: Sequence[Way]) -> Way | None:
        """The way to use now; None when there is none."""
        if self._last in found and self._last is not None and self._last.name not in self._failed:
            return self._last
        left = [way for way in found if way.name not in self._failed]
        if not left:
            self._failed.clear()  # all were tried: from the beginning
            left = list(found)
        self._last = left[0] if left else None
        return self._last

    def failed(self, way: Way) -> None:
        """It took nothing: the next one is tried."""
        self._failed.add(way.name)

    def took(self, way: Way) -> None:
        """It took what was handed to it."""
        self._last = way
        self._failed.clear()
