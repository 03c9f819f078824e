"""The tables of rollouts and agents for an event loop: every call on a thread, few at a time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ParamSpec, TypeVar

from upriver_control.observed import AgentFacts
from upriver_control.rollout import Rollout
from upriver_control.store.agents import AgentRow, AgentTable
from upriver_control.store.rollouts import Page, RolloutTable

P = ParamSpec("P")
T = TypeVar("T")
_AT_ONCE = 4


class ThreadedRollouts:
    """RolloutTable's methods as coroutines; they raise the same."""

    def __init__(self, table: RolloutTable) -> None:
        self._table = table
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def changed_since(self, revision: int) -> Sequence[Rollout]:
        """Some of those changed after a revision, in the order of their changes; none when there are no more."""
        return await self._run(self._table.changed_since, revision)

    async def save(self, rollout: Rollout) -> Rollout:
        """Keeps a changed rollout; raises RevisionConflict."""
        return await self._run(self._table.save, rollout)

    async def create(self, rollout: Rollout, request_id: str) -> tuple[Rollout, bool]:
        """Keeps a new rollout, or gives the one that this request has made before."""
        return await self._run(self._table.create, rollout, request_id)

    async def of_request(self, request_id: str) -> Rollout | None:
        """The rollout that a request has made."""
        return await self._run(self._table.of_request, request_id)

    async def get(self, rollout: str) -> Rollout:
        """A rollout; raises NotFound."""
        return await self._run(self._table.get, rollout)

    async def page(self, model: str, before: int, size: int) -> Page:
        """Rollouts, newest first."""
        return await self._run(self._table.page, model, before, size)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._places:
            return await asyncio.to_thread(partial(function, *args, **kwargs))


class ThreadedAgents:
    """AgentTable's methods as coroutines; they raise the same."""

    def __init__(self, table: AgentTable) -> None:
        self._table = table

    async def write(self, process: str, facts: Sequence[AgentFacts]) -> None:
        """Keeps what a process knows of agents."""
        await asyncio.to_thread(self._table.write, process, facts)

    async def all(self) -> Sequence[AgentRow]:
        """Every agent, by id."""
        return await asyncio.to_thread(self._table.all)

    async def changed_since(self, updated: float, not_by: str = "") -> Sequence[AgentRow]:
        """Agents that another process than `not_by` has written after a time, in the order of their batches."""
        return await asyncio.to_thread(self._table.changed_since, updated, not_by)

    async def ids(self) -> frozenset[str]:
        """The ids of all agents."""
        return await asyncio.to_thread(self._table.ids)

    async def delete(self, agent: str) -> bool:
        """Forgets an agent that is not connected; False when there is none such."""
        return await asyncio.to_thread(self._table.delete, agent)

    async def disconnect(self, process: str) -> int:
        """Notes that no agent is connected to a process any more; gives how many were."""
        return await asyncio.to_thread(self._table.disconnect, process)

    async def beat(self, process: str) -> bool:
        """Says that a process runs; False when the others did not know."""
        return await asyncio.to_thread(self._table.beat, process)

    async def beats(self) -> Mapping[str, int]:
        """How often each process has said that it runs."""
        return await asyncio.to_thread(self._table.beats)

    async def bury(self, process: str, beat: int) -> int | None:
        """Notes that a process has died since a beat, and that no agent is connected to it; None when it has not."""
        return await asyncio.to_thread(self._table.bury, process, beat)

    async def disconnect_silent(self, silent_s: float) -> int:
        """Notes that agents of which nothing was written for so long are not connected; gives how many."""
        return await asyncio.to_thread(self._table.disconnect_silent, silent_s)
