"""An OTLP/gRPC receiver that keeps requests as the bytes that came and may refuse them; and a sender of bytes."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.agent_process import until

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class ByteReceiver:
    """Requests in the order in which they came. `code` is what it refuses with, None when it takes them.

    `answer` is what it then says.
    """

    def __init__(self, port=0):
        self.requests = []
        self.metadata = []
        self.code = None
        self.answer = b""
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        service = METHOD.split("/")[1]
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _export(self, request, context):
        if self.code is not None:
            context.abort(self.code, "not now")
        with self._lock:
            self.requests.append(request)
            self.metadata.append(dict(context.invocation_metadata()))
        return self.answer

    def span_ids(self):
        """The ids of all spans so far, one for each time that it came."""
        with self._lock:
            messages = [ExportTraceServiceRequest.FromString(request) for request in self.requests]
        return [
            span.span_id
            for message in messages
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, count, timeout_s=30.0):
        """The ids once there are `count`."""
        return until(lambda: found if len(found := self.span_ids()) >= count else None, timeout_s, f"{count} spans")

    def stop(self):
        self._server.stop(0).wait(5)


@contextmanager
def byte_receiver() -> Iterator[ByteReceiver]:
    """A receiver on a free port."""
    receiver = ByteReceiver()
    try:
        yield receiver
    finally:
        receiver.stop()


def exporting(channel, token):
    """A function that sends a request's bytes and gives the answer's."""
    export = channel.unary_unary(METHOD)
    return lambda raw, *metadata: export(raw, timeout=30, metadata=(("authorization", f"Bearer {token}"), *metadata))
