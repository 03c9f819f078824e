"""The synchronous client: ask the nearest agent, get a typed answer."""

import os
import random
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import grpc

from upriver import tracing
from upriver.answer import Answer, ModelMetadata, ModelState
from upriver.asking import Asking, AskOptions
from upriver.channels import DEFAULT_MESSAGE_BYTES, TlsFiles, open_channel
from upriver.contracts import Contracts
from upriver.errors import CallerGone, DeadlineExpired, Draining, InvalidInput, Unreachable, UpriverError
from upriver.inputs import Inputs, to_batch
from upriver.oip.v2 import inference_pb2 as pb
from upriver.refusals import REPEATABLE, error_of
from upriver.request import build_request, parse_index, parse_metadata, parse_response
from upriver.retries import Way
from upriver.rpc import MODEL_INFER, MODEL_METADATA, MODEL_STREAM_INFER, REPOSITORY_INDEX, SERVER_READY, Rpc
from upriver.settings import make_settings
from upriver.streaming import DEFAULT_IN_FLIGHT, Stream, check_in_flight, prepare
from upriver.tensors import Array
from upriver.ticket_calls import TicketHandle, TicketStream
from upriver.tickets import Ticket, ticket_id

if TYPE_CHECKING:
    from PIL.Image import Image

Q = TypeVar("Q")
R = TypeVar("R")


class Client:
    """Asks agents. Safe to share between threads; close it, or use it as a context manager.

        with Client("127.0.0.1:8470") as client:
            print(client.infer("digits", "seven.png").label)

    `addresses` are host:port in order of preference. The first that answers is kept until it fails; an agent that is
    unreachable, draining or full is not asked again before the others were, and all of them are asked at most
    1 + `retries` times, with a growing random wait before each further round, within `timeout` seconds for the whole
    call. `tls` None is plain text; `TlsFiles()` trusts the system's authorities.

    Raises ConfigError for what it was made with, and for a TLS file that can't be read when it first connects. All
    methods raise the errors of `upriver.errors`: Unreachable, DeadlineExpired, QueueFull, ModelNotFound, ...
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
        self._channels: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @overload
    def infer(
        self, model: str, inputs: "bytes | str | os.PathLike[str] | Image", **options: Unpack[AskOptions]
    ) -> Answer: ...

    @overload
    def infer(self, model: str, inputs: list[Any] | tuple[Any, ...], **options: Unpack[AskOptions]) -> list[Answer]: ...

    @overload
    def infer(
        self, model: str, inputs: Array | Mapping[str, Any], **options: Unpack[AskOptions]
    ) -> Answer | list[Answer]: ...

    def infer(self, model: str, inputs: Inputs, **options: Unpack[AskOptions]) -> Answer | list[Answer]:
        """Asks one question, or a batch of them in one request.

        `inputs` is a NumPy array, a PIL image, encoded bytes or a path: one question, answered by an Answer. A list of
        those, or an array with one more dimension in front, is a batch: a list of Answers, in order. Models with
        several inputs take a mapping from their names. `upriver.inputs` tells how inputs are made to fit the model,
        AskOptions (`version`, `timeout`, `max_tier`, `min_confidence`, `mode`, `region_only`, `learn`, `outputs`) what
        can be asked of the cascade.
        """
        asking = Asking(**options)
        deadline = time.monotonic() + (asking.timeout or self._settings.timeout_s)
        batch = to_batch(inputs, self._contract(model, asking.version, deadline))
        message = build_request(model, batch, asking)
        started = time.monotonic()
        try:
            reply = self._call(MODEL_INFER, message, deadline)
        except InvalidInput:
            self._contracts.drop(model, asking.version)
            raise
        answers = parse_response(reply, batch.rows, time.monotonic() - started)
        return answers[0] if batch.single else answers

    @overload
    def stream(
        self,
        model: str,
        items: Iterable[Inputs],
        *,
        in_flight: int = ...,
        return_errors: Literal[False] = ...,
        **options: Unpack[AskOptions],
    ) -> Generator[Answer | list[Answer], None, None]: ...

    @overload
    def stream(
        self,
        model: str,
        items: Iterable[Inputs],
        *,
        in_flight: int = ...,
        return_errors: Literal[True],
        **options: Unpack[AskOptions],
    ) -> Generator[Answer | list[Answer] | UpriverError, None, None]: ...

    def stream(
        self,
        model: str,
        items: Iterable[Inputs],
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        return_errors: bool = False,
        **options: Unpack[AskOptions],
    ) -> Generator[Answer | list[Answer] | UpriverError, None, None]:
        """Asks every item over one stream; yields the answers in order, each as `infer` would give it.

        At most `in_flight` items wait for an answer. `items` is iterated in a thread of its own, so a slow source
        delays no answer. With `return_errors` the error of an item is yielded in its place; without, it is raised and
        ends the stream. `timeout` bounds the wait for each answer. A stream that breaks is not repeated.
        """
        asking = Asking(**options)
        check_in_flight(in_flight)
        return self._stream(model, items, in_flight, return_errors, asking)

    def _stream(
        self, model: str, items: Iterable[Inputs], in_flight: int, return_errors: bool, asking: Asking
    ) -> Generator[Answer | list[Answer] | UpriverError, None, None]:
        timeout_s = asking.timeout or self._settings.timeout_s
        contract = self._fetch_contract(model, asking.version, time.monotonic() + timeout_s)  # finds a healthy agent
        at = self._preferred
        address = self._settings.addresses[at]
        open_stream = self._channel(address).stream_stream(
            MODEL_STREAM_INFER.path,
            request_serializer=MODEL_STREAM_INFER.write,
            response_deserializer=MODEL_STREAM_INFER.read,
        )
        stream = Stream(items, lambda item, id_: prepare(model, item, contract, asking, id_), in_flight, timeout_s)
        with stream:
            stream.open(lambda requests: open_stream(requests, metadata=tracing.inject()), address)
            try:
                for outcome in stream:
                    if isinstance(outcome, UpriverError) and not return_errors:
                        raise outcome
                    yield outcome
            except (DeadlineExpired, Draining, Unreachable):
                self._pass_over(at)
                raise

    def ready(self, timeout: float | None = None) -> bool:
        """Whether any of the agents can be reached, has all its models loaded and is not draining."""
        addresses = self._settings.addresses
        share_s = (timeout or self._settings.timeout_s) / len(addresses)
        for address in addresses:
            way = Way((address,), 0, 0, time.monotonic() + share_s)
            try:
                ready = self._follow(way, SERVER_READY, pb.ServerReadyRequest()).ready
            except (*REPEATABLE, DeadlineExpired):
                continue
            if ready:
                return True
        return False

    def models(self, timeout: float | None = None) -> list[ModelState]:
        """The models that the agent is configured with, and whether they are ready."""
        deadline = time.monotonic() + (timeout or self._settings.timeout_s)
        return parse_index(self._call(REPOSITORY_INDEX, pb.RepositoryIndexRequest(), deadline))

    def metadata(self, model: str, version: str = "", timeout: float | None = None) -> ModelMetadata:
        """The model's contract, as the agent tells it now."""
        return self._fetch_contract(model, version, time.monotonic() + (timeout or self._settings.timeout_s))

    def ticket(self, ticket: str | Answer) -> TicketHandle:
        """The handle of an unresolved question, by its ticket or the answer that has it: `.result(timeout)` waits.

        Raises InvalidInput for an answer without a ticket.
        """
        settings = self._settings
        first = lambda: self._preferred  # noqa: E731 - looked at when the ticket is asked for
        id_ = ticket_id(ticket)
        return TicketHandle(id_, settings.addresses, first, self._channel, settings.timeout_s, self._closed)

    def tickets(self, *tickets: str | Answer, timeout: float | None = None) -> Iterator[Ticket]:
        """Later answers as they come: yields answered tickets until `timeout` seconds are over (None: on and on).

        With tickets named, those and no others, also when they are answered already, and no longer than until all are.
        With none named everybody's that are answered from now on, which agents allow to those in `tickets.access`.
        """
        ids = [ticket_id(ticket) for ticket in tickets]
        return TicketStream(self._settings.addresses, ids, self._channel, self._closed).run(timeout)

    def close(self) -> None:
        """Closes all channels; calls that other threads wait for end with CallerGone."""
        self._closed.set()
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _contract(self, model: str, version: str, deadline: float) -> ModelMetadata:
        return self._contracts.get(model, version) or self._fetch_contract(model, version, deadline)

    def _fetch_contract(self, model: str, version: str, deadline: float) -> ModelMetadata:
        message = pb.ModelMetadataRequest(name=model, version=version)
        contract = parse_metadata(self._call(MODEL_METADATA, message, deadline))
        self._contracts.put(model, version, contract)
        return contract

    def _call(self, rpc: Rpc[Q, R], message: Q, deadline: float) -> R:
        """Calls the preferred agent, then the others; remembers which answered."""
        way = Way(self._settings.addresses, self._preferred, self._settings.retries, deadline)
        try:
            reply = self._follow(way, rpc, message)
        except DeadlineExpired:
            self._pass_over(way.at)
            raise
        self._preferred = way.at
        return reply

    def _pass_over(self, at: int) -> None:
        """Asks another agent first from now on: this one let a deadline pass, drains or is gone."""
        self._preferred = (at + 1) % len(self._settings.addresses)

    def _follow(self, way: Way, rpc: Rpc[Q, R], message: Q) -> R:
        metadata = tracing.inject()
        while True:
            call = self._channel(way.address).unary_unary(
                rpc.path, request_serializer=rpc.write, response_deserializer=rpc.read
            )
            try:
                reply: R = call(message, timeout=way.time_left_s(time.monotonic()), metadata=metadata)
            except grpc.RpcError as failed:
                if self._closed.is_set():
                    raise CallerGone("the client was closed before the answer came") from failed
                error = error_of(failed, way.address)
                error.__cause__ = failed
                chance = random.random()  # noqa: S311 - spreads retries, keeps no secret
                self._closed.wait(way.failed(error, time.monotonic(), chance))
            else:
                return reply

    def _channel(self, address: str) -> grpc.Channel:
        with self._lock:
            if self._closed.is_set():
                raise ValueError("this client is closed")
            if address not in self._channels:
                self._channels[address] = open_channel(address, self._settings.channel)
            return self._channels[address]
