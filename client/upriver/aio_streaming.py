"""Many questions over one stream for asyncio: a task writes the questions, the caller reads the answers."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import grpc
import grpc.aio

from upriver.asking import Asking
from upriver.errors import DeadlineExpired, InferenceFailed, Unreachable, UpriverError
from upriver.inputs import Batch, Inputs
from upriver.refusals import error_of
from upriver.request import build_request
from upriver.streaming import END, Outcome, Pending, Sent, SourceFailed

_BROKE_OFF = "Internal error from Core"
"""What grpc.aio says when the stream ends during a write: the status that it ended with is lost then."""


class AioStream:
    """One stream call that has been started."""

    def __init__(self, call: Any, address: str, timeout_s: float, in_flight: int) -> None:
        self._call = call
        self._address = address
        self._timeout_s = timeout_s
        self._window = asyncio.Semaphore(in_flight)
        self._pending: asyncio.Queue[Pending] = asyncio.Queue()  # bounded by the window

    async def run(
        self,
        items: Iterable[Inputs] | AsyncIterable[Inputs],
        batch_of: Callable[[Inputs], Awaitable[Batch]],
        model: str,
        asking: Asking,
    ) -> AsyncGenerator[Outcome, None]:
        """Yields the outcomes in order; raises when the stream breaks or the source of items does."""
        self._call.add_done_callback(lambda _: self._pending.put_nowait(END))
        writing = asyncio.create_task(self._write(items, batch_of, model, asking))
        try:
            while True:
                pending = await self._pending.get()
                if isinstance(pending, SourceFailed):
                    raise pending.error
                if isinstance(pending, UpriverError):
                    self._window.release()
                    yield pending
                    continue
                message = await self._read()
                if message is None and pending is END:
                    return
                if message is None or pending is END:
                    raise InferenceFailed(f"the stream ended out of step (agent {self._address})")
                self._window.release()
                yield pending.outcome(message, self._address, time.monotonic())
        finally:
            writing.cancel()
            self._call.cancel()
            await asyncio.wait([writing])

    async def _write(
        self,
        items: Iterable[Inputs] | AsyncIterable[Inputs],
        batch_of: Callable[[Inputs], Awaitable[Batch]],
        model: str,
        asking: Asking,
    ) -> None:
        number = 0
        try:
            async for item in _asynchronous(items):
                await self._window.acquire()
                try:
                    batch = await batch_of(item)
                except UpriverError as error:
                    self._pending.put_nowait(error)
                else:
                    request = build_request(model, batch, asking, str(number))
                    self._pending.put_nowait(Sent(request, batch.rows, batch.single, time.monotonic()))
                    if not await self._told(self._call.write(request)):
                        return
                number += 1
        except Exception as error:  # noqa: BLE001 - the reader raises it
            self._pending.put_nowait(SourceFailed(error))
            return
        await self._told(self._call.done_writing())
        self._pending.put_nowait(END)

    async def _told(self, writing: Awaitable[None]) -> bool:
        """Whether the call took it; a call that has ended takes nothing, and reading tells how it ended."""
        try:
            await writing
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False
        return True

    async def _read(self) -> Any:
        """The next message, or None when the stream has ended well."""
        try:
            message = await asyncio.wait_for(self._call.read(), self._timeout_s)
        except TimeoutError as late:
            told = f"no answer within {self._timeout_s:g} s (agent {self._address})"
            raise DeadlineExpired(told) from late
        except grpc.aio.AioRpcError as failed:
            if failed.details() == _BROKE_OFF:
                told = f"the stream broke off while a question was written (agent {self._address})"
                raise Unreachable(told) from failed
            raise error_of(failed, self._address) from failed
        return None if message is grpc.aio.EOF else message  # type: ignore[attr-defined]  # missing in the stubs


async def _asynchronous(items: Iterable[Inputs] | AsyncIterable[Inputs]) -> AsyncIterator[Inputs]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
