"""Spans go on to another OTLP receiver, in the order in which they came and with the bytes that came.

How far that is is kept in the database: what the receiver does not take is sent again, however long it is away, as far
back as spans are kept. A span may be sent twice where the answer, or the note of it, is lost.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from upriver.backoff import full_jitter_s
from upriver.errors import Unreachable, UpriverError
from upriver_control.spans.reading import written
from upriver_control.spans.store import Kept, SpanStore

_LOG = logging.getLogger(__name__)
METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
MAX_SPANS: Final = 512
MAX_BYTES: Final = 1 << 20
"""Of one request; receivers take 4 MiB unless they are told otherwise."""
_TIMEOUT_S: Final = 10.0
_IDLE_S: Final = 0.5
_FIRST_S: Final = 0.5
_LONGEST_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where spans go: `http://host:port` or `https://host:port`, and the metadata that it wants."""

    url: str
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What its place is kept under."""
        return f"forward:{self.url}"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Spans that still wait, and those that never came there. `trouble` is why none are taken now, else empty."""

    waiting: int
    lost: int
    trouble: str


class Forwarding:
    """Sends spans on for as long as it runs, on one event loop. `leads` says whether it is this process's turn."""

    def __init__(
        self,
        store: SpanStore,
        receiver: Receiver,
        leads: Callable[[], bool] = lambda: True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._receiver = receiver
        self._leads = leads
        self._chance = chance
        self._refused = 0
        self.trouble = ""

    async def prepare(self) -> None:
        """Notes from where on spans are sent, before any come."""
        await asyncio.to_thread(self._store.begin, self._receiver.name)

    async def run(self) -> None:
        """Sends until it is cancelled."""
        async with _channel(self._receiver.url) as channel:
            send = channel.unary_unary(METHOD, None, None)
            failures, begun = 0, False
            while True:
                try:
                    if not begun:
                        await self.prepare()
                        begun = True
                    sent = await self._once(send) if self._leads() else 0
                    self._tell("")
                    failures = 0
                except (UpriverError, grpc.aio.AioRpcError) as error:
                    failures += 1
                    self._tell(_why(error))
                    await asyncio.sleep(full_jitter_s(failures, _FIRST_S, _LONGEST_S, self._chance))
                    continue
                if not sent:
                    await asyncio.sleep(_IDLE_S)

    async def standing(self) -> Forwarded:
        """How far it is; raises as the store does."""
        return await asyncio.to_thread(self.look)

    def look(self) -> Forwarded:
        """The same, and blocks."""
        waiting, lost = self._store.waiting(self._receiver.name)
        return Forwarded(waiting, lost + self._refused, self.trouble)

    async def _once(self, send: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]") -> int:
        batch = await asyncio.to_thread(self._next)
        if not batch:
            return 0
        try:
            answer = await send(_request(batch), timeout=_TIMEOUT_S, metadata=self._receiver.metadata)
            refused = min(self._look(answer), len(batch))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            # It would be refused for ever, and all that come behind it.
            refused = len(batch)
            _LOG.error("%s does not take %d spans: %s", self._receiver.url, len(batch), error.details())
        await asyncio.to_thread(self._store.came_to, self._receiver.name, batch[-1].id)
        self._refused += refused
        return len(batch)

    def _next(self) -> list[Kept]:
        return self._store.after(self._store.reached(self._receiver.name), MAX_SPANS, MAX_BYTES)

    def _look(self, answer: bytes) -> int:
        """How many spans were refused; raises Unreachable for what is no answer."""
        try:
            told = ExportTraceServiceResponse.FromString(answer).partial_success
        except DecodeError as error:
            what = f"{len(answer)} bytes that are no answer of OTLP's"
            raise Unreachable(f"{self._receiver.url} answers {what}; expected an OTLP/gRPC receiver") from error
        if told.rejected_spans:
            _LOG.warning("%s refused %d spans: %s", self._receiver.url, told.rejected_spans, told.error_message[:300])
        return max(0, told.rejected_spans)

    def _tell(self, trouble: str) -> None:
        if trouble and not self.trouble:
            _LOG.warning("%s takes no spans, which are kept for it: %s", self._receiver.url, trouble)
        elif self.trouble and not trouble:
            _LOG.info("%s takes spans again", self._receiver.url)
        self.trouble = trouble


def _request(batch: Sequence[Kept]) -> bytes:
    return written((kept.origin, kept.raw) for kept in batch)


def _why(error: UpriverError | grpc.aio.AioRpcError) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"[:300]
    return str(error)


def _channel(url: str) -> grpc.aio.Channel:
    scheme, _, target = url.partition("://")
    target = target.rstrip("/")
    if scheme == "https":
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials())
    return grpc.aio.insecure_channel(target)
