"""One export to whoever takes spans, or metrics: an OTLP service on a bare channel, bytes in and bytes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb

from upriver.channels import ChannelOptions, open_channel
from upriver.errors import ConfigError
from upriver.tracing import SENT_NS

METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_DETAILS: Final = "grpc-status-details-bin"
_TIMEOUT_S: Final = 3.0
_SLOWEST: Final = 16 << 10
"""Bytes a second of the slowest link that spans get over; questions have their share of it as well."""
_AGAIN: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        # These say nothing of the spans but that a token or a receiver is not the right one yet.
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where spans go: any of the addresses, with this metadata."""

    addresses: Sequence[str]
    channel: ChannelOptions
    metadata: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver has the spans but for `rejected` of them, and says why."""

    rejected: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Nobody took them now; `after_s` is how long the receiver wants to be left alone, 0 when it did not say."""

    why: str
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never take them."""

    why: str


Outcome = Taken | Later | Refused


class Sender:
    """Sends batches one at a time. `clock_ns` is the wall clock, told with each so that receivers see if it is off."""

    def __init__(self, target: Target, clock_ns: Callable[[], int], method: str = METHOD) -> None:
        """`method` is what is called: answers of all are laid out alike.

        Raises ConfigError for TLS files that can't be read.
        """
        self._target = target
        self._method = method
        self._clock_ns = clock_ns
        self._turn = 0
        self._closed = False
        self._channel = self._open()

    def send(self, body: bytes) -> Outcome:
        """Sends the bytes of one request; waits three seconds at most, and for as long as a slow link is at it."""
        export = self._channel.unary_unary(self._method, None, None)  # bytes as they are
        metadata = (*self._target.metadata, (SENT_NS, str(self._clock_ns())))
        timeout_s = _TIMEOUT_S + len(body) / _SLOWEST
        try:
            answer = pb.ExportTraceServiceResponse.FromString(export(body, timeout=timeout_s, metadata=metadata))
        except grpc.RpcError as error:
            outcome = judged(error)
            return self._turned(outcome) if isinstance(outcome, Later) else outcome
        except ValueError as error:  # the channel was closed while we called: the agent ends
            return Later(str(error))
        except DecodeError as error:
            return Refused(f"it answered with what is no answer: {error}")
        partial = answer.partial_success
        rejected = max(0, partial.rejected_spans)
        return Taken(rejected, partial.error_message or ("it rejects some, and does not say why" if rejected else ""))

    def close(self) -> None:
        """Ends what is being sent; it counts as not taken."""
        self._closed = True
        self._channel.close()

    def _turned(self, outcome: Later) -> Later:
        """Has the next address called from now on, or, while its TLS files can't be read, the one that is."""
        if len(self._target.addresses) < 2 or self._closed:
            return outcome
        self._turn += 1
        try:
            channel = self._open()
        except ConfigError as error:
            return Later(f"{outcome.why}; {error}", outcome.after_s)
        self._channel.close()
        self._channel = channel
        return outcome

    def _open(self) -> grpc.Channel:
        addresses = self._target.addresses
        return open_channel(addresses[self._turn % len(addresses)], self._target.channel)


def judged(error: grpc.RpcError) -> Later | Refused:
    """What an error of a call means, as OTLP has it: a receiver that is full says when to come again."""
    if not isinstance(error, grpc.Call):
        return Later(str(error))
    code, after_s = error.code(), _retry_after_s(error)
    why = f"{code.name}: {error.details()}"
    if code in _AGAIN or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and after_s is not None):
        return Later(why, after_s or 0.0)
    return Refused(why)


def _retry_after_s(error: grpc.Call) -> float | None:
    for key, value in error.trailing_metadata() or ():
        if key != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    return float(max(0.0, info.retry_delay.seconds + info.retry_delay.nanos / 1e9))
        except DecodeError:
            return None
    return None
