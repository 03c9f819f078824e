"""RolloutService and FleetService with a reconciler and a real database, over agents that the test plays.

Agents run what they are told as soon as they are told, unless the test says how they behave.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio

from upriver.errors import NotFound
from upriver.services import Stub, handlers
from upriver.v1 import fleet_pb2, rollout_pb2
from upriver_control.observed import AgentFacts, Counters, SlotFacts, SlotState
from upriver_control.reconcile.file_lock import FileLock
from upriver_control.reconcile.mirror import RolloutMirror
from upriver_control.reconcile.ports import LeaderLock
from upriver_control.reconcile.reconciler import Reconciler
from upriver_control.reconcile.threaded import ThreadedAgents, ThreadedRollouts
from upriver_control.services.fleet import FleetServicer
from upriver_control.services.rollouts import NamedPolicy, PublishedVersion, RolloutServicer
from upriver_control.store.agents import AgentTable
from upriver_control.store.database import open_database
from upriver_control.store.rollouts import RolloutTable

ROLLOUTS = rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"]
FLEET = fleet_pb2.DESCRIPTOR.services_by_name["FleetService"]
POLICY = (
    '{{"box_threshold":0.5,"score":"max_probability","temperature":1.0,"threshold":0.8,"version_digest":"{digest}"}}'
)
Behaviour = Callable[[AgentFacts, SlotFacts], SlotFacts]


def digest_of(version: str) -> str:
    return "sha256:" + version[-1] * 64


class PlayedFleet:
    """Agents in memory; lives on the control plane's loop."""

    def __init__(self) -> None:
        self.known: dict[str, AgentFacts] = {}
        self._changed: dict[asyncio.Event, set[str]] = {}

    def agents(self) -> Mapping[str, AgentFacts]:
        return dict(self.known)

    def agent(self, agent: str) -> AgentFacts | None:
        return self.known.get(agent)

    def forget(self, agent: str) -> None:
        self.known.pop(agent, None)

    def listen(self) -> asyncio.Event:
        event = asyncio.Event()
        self._changed[event] = set()
        return event

    def changes(self, event: asyncio.Event) -> set[str]:
        changed, self._changed[event] = self._changed[event], set()
        event.clear()
        return changed

    def unlisten(self, event: asyncio.Event) -> None:
        self._changed.pop(event, None)

    def put(self, facts: AgentFacts) -> None:
        self.known[facts.agent] = facts
        for event, changed in self._changed.items():
            changed.add(facts.agent)
            event.set()


class PlayedVersions:
    """Versions 1 to 9 of any model; `@champion` is 2."""

    def __init__(self) -> None:
        self.signed: list[tuple[str, str]] = []

    async def resolve(self, version: str) -> PublishedVersion:
        name = version.replace("@champion", "2")
        if name[-1] not in "123456789":
            raise NotFound(f"there is no version {version}")
        return PublishedVersion(name, digest_of(name), POLICY.format(digest=digest_of(name)))

    async def policy(self, name: str) -> NamedPolicy:
        """Policy `models/{model}/policies/{n}` is that of version n, with another threshold."""
        model, version = name.split("/")[1], name[-1]
        if version not in "123456789":
            raise NotFound(f"there is no policy {name}")
        of = f"models/{model}/versions/{version}"
        document = POLICY.format(digest=digest_of(of)).replace("0.8", "0.25")
        return NamedPolicy(name, of, digest_of(of), document)

    async def sign_policy(self, model: str, document: str) -> None:
        self.signed.append((model, document))


class RolloutServer:
    """One control-plane process's part; several may share one database and lock."""

    def __init__(self, database_url: str, folder: Any, lock: LeaderLock | None = None) -> None:
        self._url, self._folder = database_url, folder
        self._lock = lock or FileLock(folder / "leader.lock")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.behaviour: Behaviour = lambda _, moved: moved
        self.versions = PlayedVersions()
        self.port = 0
        self.fleet: PlayedFleet = Any
        self.mirror: RolloutMirror = Any
        self.reconciler: Reconciler = Any

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def on_loop(self, function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def add(self, *agents: AgentFacts) -> None:
        self.on_loop(lambda: [self.fleet.put(facts) for facts in agents])

    def agents(self) -> Mapping[str, AgentFacts]:
        return self.on_loop(lambda: self.fleet.agents())

    def start(self) -> None:
        self._thread.start()
        self.on_loop(self._start)

    def stop(self) -> None:
        self.on_loop(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _start(self) -> None:
        self._database = await asyncio.to_thread(open_database, self._url)
        store = ThreadedRollouts(RolloutTable(self._database))
        self.fleet, self.mirror = PlayedFleet(), RolloutMirror(store)
        self.reconciler = Reconciler(self.mirror, store, self._lock, self.fleet)
        agents = ThreadedAgents(AgentTable(self._database, lambda: 1.0))
        self._server = grpc.aio.server()
        rollouts = RolloutServicer(store, self.versions, self.mirror)
        fleet = FleetServicer(self.fleet, agents, self.mirror)
        self._server.add_generic_rpc_handlers((handlers(ROLLOUTS, rollouts), handlers(FLEET, fleet)))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        jobs = (self.mirror.run(0.1), self.reconciler.run(), self._play())
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.stop(0)
        self._database.close()
        failed = [error for error in ended if isinstance(error, Exception)]
        if failed:
            raise ExceptionGroup("jobs of the server ended by themselves", failed)

    async def _play(self) -> None:
        changed = self.mirror.listen()
        while True:
            await changed.wait()
            changed.clear()
            for facts in list(self.fleet.known.values()):
                if facts.connected:
                    self._follow(facts)

    def _follow(self, facts: AgentFacts) -> None:
        slots = dict(facts.slots)
        for model, desired in self.mirror.intent.desired(facts).items():
            slot = slots.get(model, SlotFacts())
            same = desired.pair is not None and desired.pair.is_same(slot.active)
            if not same or slot.candidate is not None:
                previous = slot.previous if same else slot.active
                state = SlotState.ACTIVE if desired.pair is not None else SlotState.EMPTY
                moved = SlotFacts(desired.pair, previous, None, state, generation=desired.generation)
                moved = replace(moved, counters=Counters(10, 1, 0, {40: 10}))
                slots[model] = self.behaviour(facts, moved)
        if slots != facts.slots:
            self.fleet.put(replace(facts, slots=slots))


@contextmanager
def rollout_server(folder, database_url=None, lock=None):
    server = RolloutServer(database_url or f"sqlite:///{folder}/control.db", folder, lock)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def stubs(address):
    """The stubs of both services."""
    with grpc.insecure_channel(address) as channel:
        yield Stub(channel, ROLLOUTS), Stub(channel, FLEET)
