"""Agents' facts between control-plane processes, by way of the database.

Each process writes what it knows of the agents that are connected to it, in batches, and reads what the others wrote.
An agent whose process has died is noted as not connected once nothing was written of it for SILENT_S: by any process,
since the note is the same.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from upriver.errors import DiskTrouble, Unreachable
from upriver_control.observed import AgentFacts
from upriver_control.store.agents import AgentRow

_LOG = logging.getLogger(__name__)
EXCHANGE_S = 0.5
TIDY_S = 30.0
SILENT_S = 600.0
"""Longer than the longest time between two reports of an agent that is connected."""


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


class Connected(Protocol):
    """The agents of this process, and what it knows of others. Used on one event loop."""

    def agents(self) -> Mapping[str, AgentFacts]:
        """Every agent that is known, by id."""

    def dirty(self) -> list[AgentFacts]:
        """The agents of this process that have changed since the last call."""

    def still_dirty(self, agents: Iterable[AgentFacts]) -> None:
        """They could not be written: the next `dirty` gives them again."""

    def told_elsewhere(self, agents: Iterable[AgentFacts]) -> None:
        """Takes in what other processes have written."""

    def forget(self, agent: str) -> None:
        """Drops an agent that is not connected."""


class Exchange:
    """Writes and reads agents' facts. `process` names this process, anew at every start."""

    def __init__(self, kept: Kept, connected: Connected, process: str) -> None:
        self._kept = kept
        self._connected = connected
        self._process = process
        self._seen = 0.0

    async def run(self) -> None:
        """Works until it is cancelled; then notes that no agent is connected here any more, if that can be written."""
        rounds, reachable = 0, True
        try:
            while True:
                try:
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

    async def _tidy(self) -> None:
        known = {facts.agent for facts in self._connected.agents().values() if not facts.connected}
        kept = await self._kept.ids()
        for agent in known - kept:
            self._connected.forget(agent)
        silent = await self._kept.disconnect_silent(SILENT_S)
        if silent:
            _LOG.info("%d agents of processes that have died are not connected", silent)
