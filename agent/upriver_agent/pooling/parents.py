"""Which agent above is this one's parent: one at a time, kept as long as it answers. Pure.

An agent of the next higher tier, of the own region first; the control plane where there is none, or none that takes
sums. Of equals each agent prefers others, and always the same, so that no one has all.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from upriver.discovery.port import AgentRecord
from upriver_agent.place import Place

PATIENCE: Final = 3
"""A parent that did not answer so often in a row is left."""
AWAY_S: Final = 300.0
"""One that was left, or is full, is not asked for so long."""
DEAF_S: Final = 3600.0
"""One that does not take sums is not asked for so long."""
CONTROL_PLANE: Final = "control-plane"


@dataclass(frozen=True, slots=True)
class Parent:
    """Whom to send to. `addresses` are several for the control plane, any of which will do."""

    name: str
    addresses: Sequence[str]
    is_agent: bool


class Parents:
    """Chooses for the agent at `place`; `control_plane` are addresses, none where there is none."""

    def __init__(self, place: Place, control_plane: Sequence[str]) -> None:
        self._place = place
        self._control_plane = tuple(control_plane)
        self._current = ""
        self._failures = 0
        self._away: dict[str, float] = {}

    def choose(self, agents: Sequence[AgentRecord], now: float) -> Parent | None:
        """The parent, of the agents that are known now; None when there is none."""
        self._away = {name: until for name, until in self._away.items() if until > now}
        above = self._above(agents)
        able = [agent for agent in above if agent.agent not in self._away]
        if not able and not self._control_plane:  # better one that was left than none
            able = above
        if able:
            chosen = next((agent for agent in able if agent.agent == self._current), able[0])
            return self._take(Parent(chosen.agent, (chosen.address,), is_agent=True))
        if self._control_plane:
            return self._take(Parent(CONTROL_PLANE, self._control_plane, is_agent=False))
        self._current = ""
        return None

    def answered(self) -> None:
        """The parent has answered."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """The parent did not answer."""
        self._failures += 1
        if self._failures >= PATIENCE:
            self.leave(now, AWAY_S)

    def leave(self, now: float, for_s: float) -> None:
        """Another parent is wanted, and this one not for so long."""
        if self._current and self._current != CONTROL_PLANE:
            self._away[self._current] = now + for_s
        self._failures = 0

    def _take(self, parent: Parent) -> Parent:
        if parent.name != self._current:
            self._current, self._failures = parent.name, 0
        return parent

    def _above(self, agents: Sequence[AgentRecord]) -> list[AgentRecord]:
        place = self._place
        above = [agent for agent in agents if agent.healthy and place.is_above(agent.tier)]
        above.sort(
            key=lambda agent: (
                place.tiers.index(agent.tier),
                agent.region != place.region,
                hashlib.sha256(f"{place.agent}/{agent.agent}".encode()).digest(),
            )
        )
        return above
