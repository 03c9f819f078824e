"""A small OTLP/gRPC collector inside the demo, and the check whether a trace is complete."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc

from upriver.tracing import Attribute, SpanName


@dataclass(frozen=True)
class SeenSpan:
    """What the completeness check needs of a span; `agent` is the serving one, or the upstream of an escalation."""

    name: str
    span: str
    parent: str
    agent: str


class Collector(service_grpc.TraceServiceServicer):
    """Keeps the serve and escalate spans that the agents send, by trace."""

    def __init__(self) -> None:
        self._spans: dict[str, list[SeenSpan]] = {}
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        service_grpc.add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]  # generated
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def start(self) -> None:
        """Begins to receive."""
        self._server.start()

    def stop(self) -> None:
        """Ends."""
        self._server.stop(0.5).wait(2)

    def Export(  # noqa: N802 - the service's name
        self, request: service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> service_pb2.ExportTraceServiceResponse:
        """Takes spans."""
        del context
        with self._lock:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        if span.name not in (SpanName.SERVE, SpanName.ESCALATE):
                            continue
                        told = {attribute.key: attribute.value.string_value for attribute in span.attributes}
                        key = Attribute.AGENT if span.name == SpanName.SERVE else Attribute.UPSTREAM_AGENT
                        seen = SeenSpan(span.name, span.span_id.hex(), span.parent_span_id.hex(), told.get(key, ""))
                        self._spans.setdefault(span.trace_id.hex(), []).append(seen)
        return service_pb2.ExportTraceServiceResponse()

    def complete(self, paths: Mapping[str, Sequence[str]]) -> int:
        """How many of the traces in `paths` (trace id to the answer's path) are complete."""
        with self._lock:
            return sum(is_complete(self._spans.get(trace, ()), path) for trace, path in paths.items())


def is_complete(spans: Iterable[SeenSpan], path: Sequence[str]) -> bool:
    """Whether every agent of the path has a serve span, each under the escalation of the one before.

    The first one has no parent: the demo's questions start their traces at the touch point. An agent may have several,
    where a second upstream was asked to be in time and both went on to the same one.
    """
    found = list(spans)
    escalations = {span.span: span for span in found if span.name == SpanName.ESCALATE}
    here = {span.span for span in found if path and _serves(span, path[0]) and not span.parent}
    for above in path[1:]:
        hops = {key for key, hop in escalations.items() if hop.agent == above and hop.parent in here}
        here = {span.span for span in found if _serves(span, above) and span.parent in hops}
    return bool(here)


def _serves(span: SeenSpan, agent: str) -> bool:
    return span.name == SpanName.SERVE and span.agent == agent
