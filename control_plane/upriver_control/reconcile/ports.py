"""What the reconciler needs of others."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from upriver_control.observed import AgentFacts
from upriver_control.rollout import Rollout


class RolloutStore(Protocol):
    """Rollouts, kept for all processes. Both raise Unreachable or DiskTrouble."""

    async def changed_since(self, revision: int) -> Sequence[Rollout]:
        """Some of those changed after a revision, in the order of their changes; none when there are no more."""

    async def save(self, rollout: Rollout) -> Rollout:
        """Keeps a changed rollout and gives it with its new revision; raises RevisionConflict."""


class FleetView(Protocol):
    """All agents, wherever they are connected. Used on one event loop."""

    def agents(self) -> Mapping[str, AgentFacts]:
        """Every agent that is known, by id. The caller keeps the mapping: it does not change any more."""

    def listen(self) -> asyncio.Event:
        """An event that is set whenever an agent has changed."""

    def changes(self, event: asyncio.Event) -> set[str]:
        """The agents that have changed since the last call; clears the event."""

    def unlisten(self, event: asyncio.Event) -> None:
        """Ends listening."""


class LeaderLock(Protocol):
    """Held by one control-plane process at a time."""

    async def acquire(self) -> bool:
        """Tries to take it, without waiting for another holder; raises Unreachable or NotAllowed."""

    async def held(self) -> bool:
        """Whether it is still ours; renews it where that is needed. False also when nobody can be asked."""

    async def release(self) -> None:
        """Gives it back, if it is ours; the next holder need not wait."""
