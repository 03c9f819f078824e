"""SyncService: one coroutine that writes and one that reads for each connected agent."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from upriver.errors import InvalidInput
from upriver.v1 import sync_pb2 as pb
from upriver_control.sessions.arrivals import Arrivals
from upriver_control.sessions.session import Session
from upriver_control.sessions.sessions import Sessions
from upriver_control.sync_wire import read_hello

HELLO_S = 10.0
FULL_S = 60.0
"""How long an agent is sent away for when there is no room for it."""
RETRY_AFTER = "retry-after-ms"
Context = grpc.aio.ServicerContext[Any, Any]


class SyncServicer:
    """Serves agents. `join_token` empty lets anybody in who can reach the port."""

    def __init__(
        self,
        sessions: Sessions,
        arrivals: Arrivals,
        join_token: str = "",
        max_agents: int = 1_000_000,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._arrivals = arrivals
        self._join_token = join_token
        self._max_agents = max_agents
        self._clock = clock
        self._steady = steady

    async def sync(self, requests: AsyncIterator[pb.SyncRequest], context: Context) -> None:
        """Runs one agent's stream to its end."""
        if self._join_token and not self._may_join(context):
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "expected the join token: control_plane.token of the agent"
            )
        if self._sessions.connected() >= self._max_agents:
            await _send_away(context, FULL_S, f"{self._max_agents} agents are connected here, which is all it takes")
        wait_s = self._arrivals.admit(self._steady())
        if wait_s > 0:
            await _send_away(context, wait_s, "many agents arrive at once; try again later")
        session = await self._greet(requests, context)
        reader = asyncio.create_task(self._read(session, requests))
        try:
            while (kind := await session.due()) is not None:
                response = self._sessions.compose(session, kind)
                if response is not None:
                    await context.write(response)
        finally:
            self._sessions.detach(session)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        if not reader.cancelled() and isinstance(error := reader.exception(), InvalidInput):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def _may_join(self, context: Context) -> bool:
        told = dict(context.invocation_metadata() or ()).get("authorization", "")
        return hmac.compare_digest(str(told).encode(), f"Bearer {self._join_token}".encode())

    async def _greet(self, requests: AsyncIterator[pb.SyncRequest], context: Context) -> Session:
        try:
            first = await asyncio.wait_for(anext(requests), HELLO_S)
        except (TimeoutError, StopAsyncIteration):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"expected a Hello within {HELLO_S:.0f} s")
        if first.WhichOneof("message") != "hello":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "expected a Hello as the first message")
        try:
            facts = read_hello(first.hello, self._clock())
        except InvalidInput as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return self._sessions.attach(facts, first.hello.resource_versions)

    async def _read(self, session: Session, requests: AsyncIterator[pb.SyncRequest]) -> None:
        try:
            async for message in requests:
                match message.WhichOneof("message"):
                    case "status":
                        self._sessions.heard(session, message.status)
                    case "acknowledgement":
                        self._sessions.acknowledged(session, message.acknowledgement)
                    case _:
                        raise InvalidInput("expected a Status or an Acknowledgement after the Hello")
        finally:
            session.end()


async def _send_away(context: Context, wait_s: float, why: str) -> None:
    context.set_trailing_metadata(((RETRY_AFTER, str(round(wait_s * 1000))),))
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, why)
