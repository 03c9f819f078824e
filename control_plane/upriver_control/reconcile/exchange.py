"""Agents' facts between control-plane processes, by way of the database.

Each process writes what it knows of the agents that are connected to it, in batches, and reads what the others wrote.
It also counts up a beat of its own. A process whose beat another one sees standing still for DEAD_S has died, and its
agents are noted as not connected: by whoever sees it first. No clocks are compared for that. One that was only stopped
for so long finds itself buried, and writes all its agents again.

Agents of a process that has no beat (one of an older version) are noted once nothing was written of them for SILENT_S.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from upriver.errors import DiskTrouble, Unreachable
from upriver_control.observed import AgentFacts
from upriver_control.store.agents import AgentRow

_LOG = logging.getLogger(__name__)
EXCHANGE_S = 0.5
TIDY_S = 30.0
BEAT_S = 3.0
DEAD_S = 15.0
"""Without a beat; five of them, so that a database that is slow for a while kills nobody."""
SILENT_S = 600.0
"""Longer than the longest time between two writes of an agent that is connected."""


class Kept(Protocol):
    """Where agents are kept. All raise Unreachable or DiskTrouble."""

    async def write(self, process: str, facts: Sequence[AgentFacts]) -> None:
        """Keeps what a process knows of agents."""

    async def changed_since(self, updated: float, not_by: str = "") -> Sequence[AgentRow]:
        """Agents that another process than `not_by` has written after a time, in the order of their batches."""

    async def ids(self) -> frozenset[str]:
        """The ids of all agents."""

    async def disconnect(self, process: str) -> int:
        """Notes that no agent is connected to a process any more."""

    async def disconnect_silent(self, silent_s: float) -> int:
        """Notes that agents of which nothing was written for so long are not connected; gives how many."""

    async def beat(self, process: str) -> bool:
        """Says that a process runs; False when the others did not know, because it is new or was taken for dead."""

    async def beats(self) -> Mapping[str, int]:
        """How often each process has said that it runs."""

    async def bury(self, process: str, beat: int) -> int | None:
        """Notes that a process has died since a beat; gives how many agents it had, or None when it has not died."""


class Connected(Protocol):
    """The agents of this process, and what it knows of others. Used on one event loop."""

    def agents(self) -> Mapping[str, AgentFacts]:
        """Every agent that is known, by id."""

    def dirty(self) -> list[AgentFacts]:
        """The agents of this process that have changed since the last call."""

    def still_dirty(self, agents: Iterable[AgentFacts]) -> None:
        """They could not be written: the next `dirty` gives them again."""

    def still_here(self) -> None:
        """Other processes took this one for dead: the next `dirty` gives every agent that is connected here."""

    def told_elsewhere(self, agents: Iterable[AgentFacts]) -> None:
        """Takes in what other processes have written."""

    def forget(self, agent: str) -> None:
        """Drops an agent that is not connected."""


class Exchange:
    """Writes and reads agents' facts. `process` names this process, anew at every start."""

    def __init__(
        self, kept: Kept, connected: Connected, process: str, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept = kept
        self._connected = connected
        self._process = process
        self._steady = steady
        self._seen = 0.0
        self._looked = float("-inf")
        self._others: dict[str, tuple[int, float]] = {}

    async def run(self) -> None:
        """Works until it is cancelled; then notes that no agent is connected here any more, if that can be written."""
        rounds, reachable = 0, True
        try:
            while True:
                try:
                    if rounds % round(BEAT_S / EXCHANGE_S) == 0:
                        await self.beat()
                    await self.once()
                    if rounds % round(TIDY_S / EXCHANGE_S) == 0:
                        await self._tidy()
                    rounds, reachable = rounds + 1, True
                except (Unreachable, DiskTrouble) as error:
                    if reachable:
                        _LOG.warning("agents' facts can't be exchanged: %s", error)
                    reachable = False
                await asyncio.sleep(EXCHANGE_S)
        finally:
            try:
                await self._kept.disconnect(self._process)
            except (Unreachable, DiskTrouble) as error:
                _LOG.warning("that agents have gone could not be written: %s", error)

    async def once(self) -> None:
        """Writes what has changed here and reads what has changed elsewhere; raises Unreachable and DiskTrouble."""
        dirty = self._connected.dirty()
        if dirty:
            try:
                await self._kept.write(self._process, dirty)
            except BaseException:
                self._connected.still_dirty(dirty)
                raise
        changed = await self._kept.changed_since(self._seen, self._process)
        if changed:
            self._connected.told_elsewhere(row.facts for row in changed)
            self._seen = changed[-1].updated

    async def beat(self) -> None:
        """Says that this process runs, and buries those that no longer say so; raises Unreachable and DiskTrouble."""
        if not await self._kept.beat(self._process):
            self._connected.still_here()
        beats, now = await self._kept.beats(), self._steady()
        if now - self._looked > DEAD_S / 2:
            self._others.clear()  # nobody could be seen living while this process did not look, or could not
        self._looked = now
        self._others = {
            other: self._others[other] if self._others.get(other, (-1, now))[0] == beat else (beat, now)
            for other, beat in beats.items()
            if other != self._process
        }
        for other, (beat, since) in [*self._others.items()]:
            if now - since < DEAD_S:
                continue
            agents = await self._kept.bury(other, beat)
            if agents is not None:
                _LOG.warning("the control-plane process %s has died; %d agents were connected to it", other, agents)

    async def _tidy(self) -> None:
        known = {facts.agent for facts in self._connected.agents().values() if not facts.connected}
        kept = await self._kept.ids()
        for agent in known - kept:
            self._connected.forget(agent)
        silent = await self._kept.disconnect_silent(SILENT_S)
        if silent:
            _LOG.info("%d agents of which nothing was heard for long are not connected", silent)
