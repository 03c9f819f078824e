"""SyncService on a real asyncio server in a thread of the test, with desired slots that the test sets."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc.aio

from upriver.services import handlers
from upriver.v1 import sync_pb2 as pb
from upriver_control.observed import AgentFacts, Desired
from upriver_control.services.sync import SyncServicer
from upriver_control.sessions.arrivals import Arrivals
from upriver_control.sessions.sessions import Sessions

SERVICE = pb.DESCRIPTOR.services_by_name["SyncService"]


class SyncServer:
    """Runs on an event loop of its own; `on_loop` runs something there and gives its result."""

    def __init__(self, arrivals: Arrivals | None = None, join_token: str = "", port: int = 0) -> None:
        self.desired: dict[str, Mapping[str, Desired]] = {}
        self.busy = False
        self.port = port
        self.sent: list[tuple[str, str]] = []
        self._arrivals = arrivals or Arrivals(1000, 1000)
        self._join_token = join_token
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.sessions: Sessions = Any  # made on the loop

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        self.on_loop(self._start)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def on_loop(self, function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def want(self, agent: str, world: Mapping[str, Desired]) -> None:
        """Sets what an agent should run, and has it sent."""

        def change() -> None:
            self.desired[agent] = world
            self.sessions.intent_changed()

        self.on_loop(change)

    def facts(self, agent: str) -> AgentFacts | None:
        return self.on_loop(lambda: self.sessions.agent(agent))

    async def _start(self) -> None:
        self.sessions = Sessions(lambda facts: self.desired.get(facts.agent, {}), lambda _: self.busy)
        compose = self.sessions.compose

        def noted(session: Any, kind: Any) -> Any:
            response = compose(session, kind)
            if response is not None:
                self.sent.append((session.facts.agent, str(kind)))
            return response

        self.sessions.compose = noted  # type: ignore[method-assign]  # the test wants to see what is sent
        self._server = grpc.aio.server()
        servicer = SyncServicer(self.sessions, self._arrivals, self._join_token)
        self._server.add_generic_rpc_handlers((handlers(SERVICE, servicer),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        self._ticker = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            self.sessions.upstreams_changed()
            await asyncio.sleep(0.05)

    async def _stop(self) -> None:
        self._ticker.cancel()
        await self._server.stop(0.2)


@contextmanager
def sync_server(**options: Any) -> Iterator[SyncServer]:
    """A server that runs until the end."""
    server = SyncServer(**options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
