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
from upriver_control.spans.skew import offset_of

SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
_SOON_S: Final = 1
_LATER_S: Final = 30
_DETAILS_KEY: Final = "grpc-status-details-bin"
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
            waiting = self._intake.offer(request, offset_of(str(metadata.get(SENT_NS, "")), self._clock_ns()))
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
