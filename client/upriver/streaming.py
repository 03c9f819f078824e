"""Many questions over one stream, in order, with a bound on how many wait for an answer."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from upriver.answer import Answer, ModelMetadata
from upriver.asking import Asking
from upriver.errors import DeadlineExpired, InferenceFailed, InvalidInput, UpriverError
from upriver.inputs import Inputs, to_batch
from upriver.oip.v2 import inference_pb2 as pb
from upriver.refusals import error_of, from_stream
from upriver.request import build_request, parse_response

DEFAULT_IN_FLIGHT = 32
MAX_IN_FLIGHT = 4096

Outcome = Answer | list[Answer] | UpriverError
Requests = Iterator[pb.ModelInferRequest]


@dataclass(frozen=True, slots=True)
class Sent:
    """A question on its way."""

    request: pb.ModelInferRequest
    rows: int
    single: bool
    at: float
    """When it was made, on the monotonic clock, in seconds."""

    def outcome(self, message: pb.ModelStreamInferResponse, address: str, now: float) -> Outcome:
        """What came back for it; raises InferenceFailed when that belongs to another question."""
        reply = message.infer_response
        if reply.id != self.request.id:
            raise InferenceFailed(
                f"the stream is out of step: got id {reply.id!r}, expected {self.request.id!r} (agent {address})"
            )
        if message.error_message:
            return from_stream(message.error_message, address)
        try:
            answers = parse_response(reply, self.rows, now - self.at)
        except InferenceFailed as error:
            return error
        return answers[0] if self.single else answers


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """The caller's own items could not be iterated."""

    error: BaseException


END = None
"""No further questions, or the stream is over."""

Pending = Sent | UpriverError | SourceFailed | None


def check_in_flight(in_flight: int) -> None:
    """Raises InvalidInput for a bound that is none."""
    if not 1 <= in_flight <= MAX_IN_FLIGHT:
        raise InvalidInput(f"in_flight={in_flight!r}: expected 1 to {MAX_IN_FLIGHT}")


def prepare(model: str, item: Inputs, contract: ModelMetadata, asking: Asking, request_id: str) -> Sent | UpriverError:
    """Makes an item's request; gives the error of an item that does not fit."""
    try:
        batch = to_batch(item, contract)
    except UpriverError as error:
        return error
    return Sent(build_request(model, batch, asking, request_id), batch.rows, batch.single, time.monotonic())


class Stream:
    """The synchronous stream. gRPC's own thread takes the requests; the caller's thread reads the answers."""

    def __init__(
        self,
        items: Iterable[Inputs],
        prepare_item: Callable[[Inputs, str], Sent | UpriverError],
        in_flight: int,
        timeout_s: float,
    ) -> None:
        self._items = items
        self._prepare = prepare_item
        self._timeout_s = timeout_s
        self._window = threading.Semaphore(in_flight)
        self._pending: queue.SimpleQueue[Pending] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._waiting_since: float | None = None
        self._late = False
        self._address = ""
        self._call: Any = None

    def open(self, start: Callable[[Requests], Any], address: str) -> None:
        """Starts the call with the requests."""
        self._address = address
        self._call = start(self._requests())
        if not self._call.add_callback(lambda: self._pending.put(END)):
            self._pending.put(END)
        threading.Thread(target=self._watch, name="upriver-stream-watch", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._window.release()
        if self._call is not None:
            self._call.cancel()

    def __iter__(self) -> Iterator[Outcome]:
        """The outcomes in order; raises when the stream breaks or the source of items does."""
        while True:
            pending = self._pending.get()
            if isinstance(pending, SourceFailed):
                raise pending.error
            if isinstance(pending, UpriverError):
                self._window.release()
                yield pending
                continue
            message = self._next()
            if message is None and pending is END:
                return
            if message is None or pending is END:
                raise InferenceFailed(f"the stream ended out of step (agent {self._address})")
            self._window.release()
            yield pending.outcome(message, self._address, time.monotonic())

    def _next(self) -> pb.ModelStreamInferResponse | None:
        self._waiting_since = time.monotonic()
        try:
            message: pb.ModelStreamInferResponse | None = next(self._call, None)
        except grpc.RpcError as failed:
            if self._late:
                told = f"no answer within {self._timeout_s:g} s (agent {self._address})"
                raise DeadlineExpired(told) from failed
            raise error_of(failed, self._address) from failed
        finally:
            self._waiting_since = None
        return message

    def _requests(self) -> Requests:
        try:
            for number, item in enumerate(self._items):
                self._window.acquire()
                if self._ended.is_set():
                    return
                prepared = self._prepare(item, str(number))
                self._pending.put(prepared)
                if isinstance(prepared, Sent):
                    yield prepared.request
        except Exception as error:  # noqa: BLE001 - the caller's thread raises it
            self._pending.put(SourceFailed(error))
            return
        self._pending.put(END)

    def _watch(self) -> None:
        """Ends the call when one answer takes too long: a stream has no deadline for each of its messages."""
        while not self._ended.wait(min(self._timeout_s / 4, 1.0)):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > self._timeout_s:
                self._late = True
                self._call.cancel()
                return
