"""OTLP's TraceService: spans of any OpenTelemetry SDK come in, answered when they are kept."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from upriver.errors import DiskTrouble, Draining, QueueFull, Unreachable
from upriver.tracing import SENT_NS
from upriver_control.services.refusals import Context, refusing
from upriver_control.spans.intake import Intake

SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
LEAST_OFFSET_NS: Final = 2 * 10**9
"""What is less than this is on the way, and not the clock's."""
_SOON_S: Final = 1
_LATER_S: Final = 30
_DETAILS_KEY: Final = "grpc-status-details-bin"
_LATEST_NS: Final = 2**63 - 1
_RETRIED: Final = (QueueFull, Unreachable, DiskTrouble, Draining)


class OtlpServicer:
    """Takes exports as bytes and answers bytes: what is in them is read on the thread that writes them."""

    def __init__(self, intake: Intake, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._intake = intake
        self._clock_ns = clock_ns

    @refusing
    async def export(self, request: bytes, context: Context) -> bytes:
        """Keeps spans; says how many of them can't be kept, and asks for others again when it is its own fault."""
        metadata = dict(context.invocation_metadata() or ())
        try:
            waiting = self._intake.offer(request, offset_ns(str(metadata.get(SENT_NS, "")), self._clock_ns()))
            taken = await asyncio.wrap_future(waiting)
        except _RETRIED as error:
            await _again(context, error)
        response = ExportTraceServiceResponse()
        if taken.rejected:
            response.partial_success.rejected_spans = taken.rejected
            response.partial_success.error_message = "; ".join(taken.reasons)
        return response.SerializeToString()

    def handlers(self) -> Any:
        """The handler of the service, for `add_generic_rpc_handlers`."""
        return grpc.method_handlers_generic_handler(
            SERVICE, {"Export": grpc.unary_unary_rpc_method_handler(self.export)}
        )


def offset_ns(sent: str, now_ns: int) -> int:
    """What is to be added to a sender's times, by the time that its clock showed; 0 if that is not told, or near."""
    if not sent.isascii() or not sent.isdecimal() or len(sent) > 19:
        return 0
    offset = now_ns - int(sent)
    return offset if LEAST_OFFSET_NS < abs(offset) <= _LATEST_NS else 0


async def _again(context: Context, error: QueueFull | Unreachable | DiskTrouble | Draining) -> NoReturn:
    """UNAVAILABLE with RetryInfo, which is how OTLP has a sender keep its spans and come again."""
    code = grpc.StatusCode.UNAVAILABLE
    status = status_pb2.Status(code=code.value[0], message=str(error)[:1000])
    info = error_details_pb2.RetryInfo()
    info.retry_delay.seconds = _LATER_S if isinstance(error, DiskTrouble) else _SOON_S
    status.details.add().Pack(info)
    context.set_trailing_metadata(((_DETAILS_KEY, status.SerializeToString()),))
    await context.abort(code, status.message)
    raise AssertionError("abort returns never")
