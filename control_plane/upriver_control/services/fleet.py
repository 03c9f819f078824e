"""FleetService: every agent, desired against reported."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol

from upriver.errors import InvalidInput, NotFound, NotNow, QueueFull
from upriver.v1 import fleet_pb2 as pb
from upriver_control.fleet import SlotView, in_sync, slots
from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.reconcile.ports import FleetView
from upriver_control.selector import Selector, parse
from upriver_control.services.refusals import Context, refusing, refusing_stream
from upriver_control.wire import write_agent

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000
MAX_WATCHERS: Final = 256
GATHER_S: Final = 0.2
"""Changes within this time are sent as one."""
MAX_NAME: Final = 300
_INLINE = 500  # agents that are looked at on the event loop; more are looked at on a thread


class Fleet(FleetView, Protocol):
    """All agents."""

    def agent(self, agent: str) -> AgentFacts | None:
        """One agent; None when it was never seen."""

    def forget(self, agent: str) -> None:
        """Drops an agent that is not connected."""


class Agents(Protocol):
    """Where agents are kept."""

    async def delete(self, agent: str) -> bool:
        """Forgets an agent that is not connected; False when there is none such. Raises Unreachable or DiskTrouble."""


class FleetServicer:
    """Serves operators."""

    def __init__(
        self,
        fleet: Fleet,
        agents: Agents,
        mirror: RolloutMirror,
        stale: Callable[[str, str], str] = lambda model, document: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`stale` says why a model's policy no longer is certified, see `jobs.staleness`; `clock` gives Unix times."""
        self._fleet = fleet
        self._agents = agents
        self._mirror = mirror
        self._stale = stale
        self._clock = clock
        self._watchers = 0

    @refusing
    async def get_agent(self, request: pb.GetAgentRequest, context: Context) -> pb.GetAgentResponse:
        """Gives an agent."""
        agent = self._written(self._known(request.name))
        for slot in agent.slots:
            reported = slot.reported
            answering = reported.refined if reported.HasField("refined") else reported.active
            slot.stale = self._stale(slot.model, answering.policy_document)
        return pb.GetAgentResponse(agent=agent)

    @refusing
    async def list_agents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        """Lists agents by id."""
        if request.page_size < 0:
            raise InvalidInput(f"page_size is {request.page_size}; expected 0 to {MAX_PAGE}")
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        selector, intent, now = parse(request.selector), self._mirror.intent, self._clock()
        agents = self._fleet.agents()
        if len(agents) <= _INLINE:
            found = _matching(agents.values(), selector, request.out_of_sync, intent, now)
        else:
            found = await asyncio.to_thread(_matching, agents.values(), selector, request.out_of_sync, intent, now)
        rest = [facts for facts in found if facts.agent > request.page_token]
        page = rest[:size]
        return pb.ListAgentsResponse(
            agents=[write_agent(facts, slots(facts, intent, now)) for facts in page],
            next_page_token=page[-1].agent if len(rest) > size else "",
            total_size=len(found),
        )

    @refusing_stream
    async def watch_agents(
        self, request: pb.WatchAgentsRequest, context: Context
    ) -> AsyncIterator[pb.WatchAgentsResponse]:
        """Sends all agents that match, then each one that changes or is to run something else."""
        if self._watchers >= MAX_WATCHERS:
            raise QueueFull(f"the fleet is watched {MAX_WATCHERS} times here already; try again later")
        selector = parse(request.selector)
        self._watchers += 1
        agents_changed, rollouts_changed = self._fleet.listen(), self._mirror.listen()
        told: dict[str, int] = {}
        try:
            changed = set(self._fleet.agents())
            while True:
                for facts in self._some(changed, selector):
                    views = slots(facts, self._mirror.intent, self._clock())
                    told[facts.agent] = _wanted(views)
                    yield pb.WatchAgentsResponse(agent=write_agent(facts, views))
                await _either(agents_changed, rollouts_changed)
                await asyncio.sleep(GATHER_S)
                changed = self._fleet.changes(agents_changed)
                if rollouts_changed.is_set():
                    rollouts_changed.clear()
                    changed |= self._told_otherwise(selector, told)
        finally:
            self._watchers -= 1
            self._fleet.unlisten(agents_changed)
            self._mirror.unlisten(rollouts_changed)

    @refusing
    async def delete_agent(self, request: pb.DeleteAgentRequest, context: Context) -> pb.DeleteAgentResponse:
        """Forgets an agent that is not connected."""
        facts = self._known(request.name)
        if facts.connected or not await self._agents.delete(facts.agent):
            raise NotNow(f"agents/{facts.agent} is connected, or has only just left: stop it first, and then try again")
        self._fleet.forget(facts.agent)
        return pb.DeleteAgentResponse()

    def _known(self, name: str) -> AgentFacts:
        if not name.startswith("agents/") or name == "agents/" or len(name) > MAX_NAME:
            raise InvalidInput(f"name is {name[:MAX_NAME]!r}; expected agents/AGENT")
        facts = self._fleet.agent(name.removeprefix("agents/"))
        if facts is None:
            raise NotFound(f"{name} was never seen")
        return facts

    def _written(self, facts: AgentFacts) -> pb.Agent:
        return write_agent(facts, slots(facts, self._mirror.intent, self._clock()))

    def _some(self, agents: Iterable[str], selector: Selector) -> Iterable[AgentFacts]:
        for agent in sorted(agents):
            facts = self._fleet.agent(agent)
            if facts is not None and selector.matches(facts.labels):
                yield facts

    def _told_otherwise(self, selector: Selector, told: dict[str, int]) -> set[str]:
        intent, now = self._mirror.intent, self._clock()
        agents = self._fleet.agents()
        for gone in told.keys() - agents.keys():
            del told[gone]
        return {
            facts.agent
            for facts in agents.values()
            if selector.matches(facts.labels) and told.get(facts.agent) != _wanted(slots(facts, intent, now))
        }


def _matching(
    agents: Iterable[AgentFacts], selector: Selector, out_of_sync: bool, intent: Intent, now: float
) -> list[AgentFacts]:
    found = [facts for facts in agents if selector.matches(facts.labels)]
    if out_of_sync:
        found = [facts for facts in found if not in_sync(slots(facts, intent, now))]
    return sorted(found, key=lambda facts: facts.agent)


def _wanted(views: tuple[SlotView, ...]) -> int:
    return hash(tuple((view.model, view.desired, view.rollout, view.difference) for view in views))


async def _either(one: asyncio.Event, two: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (one, two)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
