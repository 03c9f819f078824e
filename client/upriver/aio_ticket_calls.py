"""Tickets through the asyncio client: wait for one's answer, or take answers as they come."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import grpc.aio

from upriver import tracing
from upriver.answer import Answer
from upriver.backoff import full_jitter_s
from upriver.errors import CallerGone, UpriverError
from upriver.refusals import REPEATABLE, error_of
from upriver.services import Stub
from upriver.tickets import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SERVICE,
    Seek,
    Ticket,
    TicketState,
    parse_ticket,
    watch_request,
)

_WAITING: Final = 64


class AsyncTicketHandle:
    """One ticket. Made by `AsyncClient.ticket`."""

    def __init__(
        self,
        id_: str,
        addresses: Sequence[str],
        first: Callable[[], int],
        channel: Callable[[str], grpc.aio.Channel],
        timeout_s: float,
        closed: Callable[[], bool],
    ) -> None:
        self.id = id_
        self._addresses = addresses
        self._first = first
        self._channel = channel
        self._timeout_s = timeout_s
        self._closed = closed

    async def result(self, timeout: float | None = None) -> Answer:  # noqa: ASYNC109 - agents are told the deadline
        """Waits for the answer; see `TicketHandle.result`."""
        ticket = await self._seek(timeout, until=TicketState.ANSWERED)
        assert ticket.answer is not None  # noqa: S101 - narrows the type; an answered ticket has one
        return ticket.answer

    async def get(self, timeout: float | None = None) -> Ticket:  # noqa: ASYNC109 - agents are told the deadline
        """The ticket as it is now; raises as `result` does."""
        return await self._seek(timeout, until=TicketState.OPEN)

    async def _seek(self, timeout_s: float | None, until: TicketState) -> Ticket:
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        seek = Seek(self.id, self._addresses, self._first(), deadline)
        while True:
            message, call_s = seek.request(time.monotonic())
            if until is TicketState.OPEN:
                message.ClearField("wait_time")
            stub = Stub(self._channel(seek.address), SERVICE)
            try:
                reply = await stub.GetTicket(message, timeout=call_s, metadata=tracing.inject())
                ticket = parse_ticket(reply.ticket)
            except grpc.aio.AioRpcError as failed:
                if self._closed():
                    raise CallerGone("the client was closed before the answer came") from failed
                error = error_of(failed, seek.address)
                error.__cause__ = failed
                pause_s = seek.failed(error, time.monotonic(), _chance())
            else:
                if until is TicketState.OPEN or ticket.state is until:
                    return ticket
                pause_s = seek.open(time.monotonic(), _chance())
            await asyncio.sleep(pause_s)


async def ticket_stream(
    addresses: Sequence[str],
    ids: Sequence[str],
    channel: Callable[[str], grpc.aio.Channel],
    timeout_s: float | None,
) -> AsyncIterator[Ticket]:
    """Answers as they come, from every agent; see `TicketStream`."""
    found: asyncio.Queue[Ticket | UpriverError] = asyncio.Queue(_WAITING)
    tasks = [asyncio.create_task(_follow(address, ids, channel, found)) for address in addresses]
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    missing = set(ids)
    try:
        while missing or not ids:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                one = await asyncio.wait_for(found.get(), left)
            except TimeoutError:
                return
            if isinstance(one, UpriverError):
                raise one
            if not ids or one.id in missing:
                missing.discard(one.id)
                yield one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(
    address: str,
    ids: Sequence[str],
    channel: Callable[[str], grpc.aio.Channel],
    found: "asyncio.Queue[Ticket | UpriverError]",
) -> None:
    cursor: int | None = None
    failures = 0
    while True:
        try:
            async for message in Stub(channel(address), SERVICE).WatchTickets(watch_request(ids, cursor)):
                cursor, failures = message.cursor, 0
                if message.HasField("ticket"):
                    await found.put(parse_ticket(message.ticket))
        except ValueError:  # the client was closed
            await found.put(CallerGone("the client was closed"))
            return
        except grpc.aio.AioRpcError as failed:
            error = error_of(failed, address)
            if not isinstance(error, REPEATABLE):
                await found.put(error)
                return
        except UpriverError as error:
            await found.put(error)
            return
        failures += 1
        await asyncio.sleep(full_jitter_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S, _chance))


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads retries, keeps no secret
