"""The asyncio client: the same questions, answers and errors as the synchronous one."""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import grpc
import grpc.aio
import numpy as np

from upriver import tracing
from upriver.aio_streaming import AioStream
from upriver.aio_ticket_calls import AsyncTicketHandle, ticket_stream
from upriver.answer import Answer, ModelMetadata, ModelState
from upriver.asking import Asking, AskOptions
from upriver.channels import DEFAULT_MESSAGE_BYTES, TlsFiles, open_aio_channel
from upriver.contracts import Contracts
from upriver.errors import CallerGone, DeadlineExpired, Draining, InvalidInput, Unreachable, UpriverError
from upriver.inputs import Batch, Inputs, to_batch
from upriver.oip.v2 import inference_pb2 as pb
from upriver.refusals import REPEATABLE, error_of
from upriver.request import build_request, parse_index, parse_metadata, parse_response
from upriver.retries import Way
from upriver.rpc import MODEL_INFER, MODEL_METADATA, MODEL_STREAM_INFER, REPOSITORY_INDEX, SERVER_READY, Rpc
from upriver.settings import make_settings
from upriver.streaming import DEFAULT_IN_FLIGHT, check_in_flight
from upriver.tensors import Array
from upriver.tickets import Ticket, ticket_id

if TYPE_CHECKING:
    from PIL.Image import Image

Q = TypeVar("Q")
R = TypeVar("R")


class AsyncClient:
    """Asks agents from one event loop; close it, or use it as an asynchronous context manager.

        async with AsyncClient("127.0.0.1:8470") as client:
            print((await client.infer("digits", "seven.png")).label)

    Everything that `upriver.Client` says holds here. Cancelling a call cancels it on every agent that works on it.
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        tls: TlsFiles | None = None,
        timeout: float = 10.0,
        retries: int = 2,
        max_message_bytes: int = DEFAULT_MESSAGE_BYTES,
    ) -> None:
        self._settings = make_settings(addresses, tls, timeout, retries, max_message_bytes)
        self._preferred = 0
        self._contracts = Contracts()
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._closed = False

    @overload
    async def infer(
        self, model: str, inputs: "bytes | str | os.PathLike[str] | Image", **options: Unpack[AskOptions]
    ) -> Answer: ...

    @overload
    async def infer(
        self, model: str, inputs: list[Any] | tuple[Any, ...], **options: Unpack[AskOptions]
    ) -> list[Answer]: ...

    @overload
    async def infer(
        self, model: str, inputs: Array | Mapping[str, Any], **options: Unpack[AskOptions]
    ) -> Answer | list[Answer]: ...

    async def infer(self, model: str, inputs: Inputs, **options: Unpack[AskOptions]) -> Answer | list[Answer]:
        """Asks one question, or a batch of them in one request; see `Client.infer`.

        Files are read and images decoded in a worker thread.
        """
        asking = Asking(**options)
        deadline = time.monotonic() + (asking.timeout or self._settings.timeout_s)
        batch = await _to_batch(inputs, await self._contract(model, asking.version, deadline))
        message = build_request(model, batch, asking)
        started = time.monotonic()
        try:
            reply = await self._call(MODEL_INFER, message, deadline)
        except InvalidInput:
            self._contracts.drop(model, asking.version)
            raise
        answers = parse_response(reply, batch.rows, time.monotonic() - started)
        return answers[0] if batch.single else answers

    @overload
    def stream(
        self,
        model: str,
        items: Iterable[Inputs] | AsyncIterable[Inputs],
        *,
        in_flight: int = ...,
        return_errors: Literal[False] = ...,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[Answer | list[Answer], None]: ...

    @overload
    def stream(
        self,
        model: str,
        items: Iterable[Inputs] | AsyncIterable[Inputs],
        *,
        in_flight: int = ...,
        return_errors: Literal[True],
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[Answer | list[Answer] | UpriverError, None]: ...

    def stream(
        self,
        model: str,
        items: Iterable[Inputs] | AsyncIterable[Inputs],
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        return_errors: bool = False,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[Answer | list[Answer] | UpriverError, None]:
        """Asks every item over one stream; yields the answers in order. See `Client.stream`.

        `items` is iterated by a task of its own; it may be asynchronous.
        """
        asking = Asking(**options)
        check_in_flight(in_flight)
        return self._stream(model, items, in_flight, return_errors, asking)

    async def _stream(
        self,
        model: str,
        items: Iterable[Inputs] | AsyncIterable[Inputs],
        in_flight: int,
        return_errors: bool,
        asking: Asking,
    ) -> AsyncGenerator[Answer | list[Answer] | UpriverError, None]:
        timeout_s = asking.timeout or self._settings.timeout_s
        contract = await self._fetch_contract(model, asking.version, time.monotonic() + timeout_s)
        at = self._preferred
        address = self._settings.addresses[at]
        open_stream: Any = self._channel(address).stream_stream(  # the stubs know no call without an iterator
            MODEL_STREAM_INFER.path,
            request_serializer=MODEL_STREAM_INFER.write,
            response_deserializer=MODEL_STREAM_INFER.read,
        )
        call = open_stream(metadata=tracing.inject())
        stream = AioStream(call, address, timeout_s, in_flight)

        async def batch_of(item: Inputs) -> Batch:
            return await _to_batch(item, contract)

        try:
            async with aclosing(stream.run(items, batch_of, model, asking)) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, UpriverError) and not return_errors:
                        raise outcome
                    yield outcome
        except (DeadlineExpired, Draining, Unreachable):
            self._pass_over(at)
            raise

    async def ready(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - agents are told the deadline
        """Whether any of the agents can be reached, has all its models loaded and is not draining."""
        addresses = self._settings.addresses
        share_s = (timeout or self._settings.timeout_s) / len(addresses)
        for address in addresses:
            way = Way((address,), 0, 0, time.monotonic() + share_s)
            try:
                ready = (await self._follow(way, SERVER_READY, pb.ServerReadyRequest())).ready
            except (*REPEATABLE, DeadlineExpired):
                continue
            if ready:
                return True
        return False

    async def models(self, timeout: float | None = None) -> list[ModelState]:  # noqa: ASYNC109 - agents are told the deadline
        """The models that the agent is configured with, and whether they are ready."""
        deadline = time.monotonic() + (timeout or self._settings.timeout_s)
        return parse_index(await self._call(REPOSITORY_INDEX, pb.RepositoryIndexRequest(), deadline))

    async def metadata(
        self,
        model: str,
        version: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - agents are told the deadline
    ) -> ModelMetadata:
        """The model's contract, as the agent tells it now."""
        return await self._fetch_contract(model, version, time.monotonic() + (timeout or self._settings.timeout_s))

    def ticket(self, ticket: str | Answer) -> AsyncTicketHandle:
        """The handle of an unresolved question; see `Client.ticket`."""
        settings = self._settings
        first = lambda: self._preferred  # noqa: E731 - looked at when the ticket is asked for
        closed = lambda: self._closed  # noqa: E731 - the same
        id_ = ticket_id(ticket)
        return AsyncTicketHandle(id_, settings.addresses, first, self._channel, settings.timeout_s, closed)

    def tickets(self, *tickets: str | Answer, timeout: float | None = None) -> AsyncIterator[Ticket]:
        """Later answers as they come; see `Client.tickets`."""
        ids = [ticket_id(ticket) for ticket in tickets]
        return ticket_stream(self._settings.addresses, ids, self._channel, timeout)

    async def close(self) -> None:
        """Closes all channels; calls in flight end as cancelled."""
        self._closed = True
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            await channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _contract(self, model: str, version: str, deadline: float) -> ModelMetadata:
        return self._contracts.get(model, version) or await self._fetch_contract(model, version, deadline)

    async def _fetch_contract(self, model: str, version: str, deadline: float) -> ModelMetadata:
        message = pb.ModelMetadataRequest(name=model, version=version)
        contract = parse_metadata(await self._call(MODEL_METADATA, message, deadline))
        self._contracts.put(model, version, contract)
        return contract

    async def _call(self, rpc: Rpc[Q, R], message: Q, deadline: float) -> R:
        """Calls the preferred agent, then the others; remembers which answered."""
        way = Way(self._settings.addresses, self._preferred, self._settings.retries, deadline)
        try:
            reply = await self._follow(way, rpc, message)
        except DeadlineExpired:
            self._pass_over(way.at)
            raise
        self._preferred = way.at
        return reply

    def _pass_over(self, at: int) -> None:
        """Asks another agent first from now on: this one let a deadline pass, drains or is gone."""
        self._preferred = (at + 1) % len(self._settings.addresses)

    async def _follow(self, way: Way, rpc: Rpc[Q, R], message: Q) -> R:
        metadata = tracing.inject()
        while True:
            call = self._channel(way.address).unary_unary(
                rpc.path, request_serializer=rpc.write, response_deserializer=rpc.read
            )
            try:
                reply: R = await call(message, timeout=way.time_left_s(time.monotonic()), metadata=metadata)
            except grpc.aio.AioRpcError as failed:
                if self._closed:
                    raise CallerGone("the client was closed before the answer came") from failed
                error = error_of(failed, way.address)
                error.__cause__ = failed
                chance = random.random()  # noqa: S311 - spreads retries, keeps no secret
                await asyncio.sleep(way.failed(error, time.monotonic(), chance))
            else:
                return reply

    def _channel(self, address: str) -> grpc.aio.Channel:
        if self._closed:
            raise ValueError("this client is closed")
        if address not in self._channels:
            self._channels[address] = open_aio_channel(address, self._settings.channel)
        return self._channels[address]


async def _to_batch(inputs: Inputs, contract: ModelMetadata) -> Batch:
    """Makes the batch; files and images, which take their time, in a worker thread."""
    if isinstance(inputs, np.ndarray):
        return to_batch(inputs, contract)
    return await asyncio.to_thread(to_batch, inputs, contract)
