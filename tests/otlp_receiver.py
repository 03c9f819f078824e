"""A real OTLP/gRPC receiver for the tests, on the published stubs: keeps every span it is sent."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.agent_process import until
from upriver.tracing import SENT_NS


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Spans by trace id."""

    def __init__(self):
        self.endpoint = ""
        self.metrics = Metrics()
        self.sent_ns = []
        self.tokens = set()
        self.order = []
        self._spans = {}
        self._lock = threading.Lock()

    def Export(self, request, context):  # noqa: N802 - the service's name
        metadata = dict(context.invocation_metadata())
        with self._lock:
            self.tokens.add(metadata.get("authorization", ""))
            if SENT_NS in metadata:
                self.sent_ns.append(int(metadata[SENT_NS]))
            for resource in request.resource_spans:
                service = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.order.append(span)
                        self._spans.setdefault(span.trace_id.hex(), []).append((service, span))
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self, trace_id, name=None):
        """The spans of a trace received so far: (resource attributes, span)."""
        with self._lock:
            found = list(self._spans.get(trace_id, ()))
        return [(service, span) for service, span in found if name is None or span.name == name]

    def traces(self):
        with self._lock:
            return set(self._spans)

    def wait_for(self, trace_id, name, count, timeout_s=60.0):
        """The spans of that name once there are `count`."""
        return until(
            lambda: found if len(found := self.spans(trace_id, name)) >= count else None,
            timeout_s,
            f"{count} spans {name} of trace {trace_id}",
        )


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Requests of metrics, as they came."""

    def __init__(self):
        self.requests = []

    def Export(self, request, context):  # noqa: N802 - the service's name
        self.requests.append(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def attributes(span):
    """Attributes as plain values."""
    read = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        read[attribute.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return read


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver on a port, a free one by itself; what comes of metrics is in its `metrics`."""
    receiver = Receiver()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(receiver.metrics, server)
    receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(1).wait(5)
