"""A proxy between an agent and whom it asks: counts what passes and may change it, whatever the service."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

FETCH = "/upriver.v1.BlobService/Fetch"
METADATA = "/upriver.v1.BlobService/FetchMetadata"
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class GrpcProxy(grpc.GenericRpcHandler):
    """Passes every call on to `upstream`; `tamper` gets a method and a reply's bytes, and gives those that are sent."""

    def __init__(self) -> None:
        self.address = ""
        self.received: Counter[str] = Counter()
        """Bytes of replies by method, as they came from upstream."""
        self.calls: Counter[str] = Counter()
        self.tamper: Callable[[str, bytes], bytes] = lambda method, reply: reply
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def to(self, upstream: str) -> None:
        """Sets where calls go."""
        self.close()
        self._channel = grpc.insecure_channel(upstream, options=OPTIONS)

    def close(self) -> None:
        """Closes the connection to where calls go."""
        if self._channel is not None:
            self._channel.close()

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        """A handler for any method: on the wire a call with one message is a stream of one."""
        method = details.method

        def relay(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            yield from self._relay(method, messages, context)

        return grpc.stream_stream_rpc_method_handler(relay)

    def _relay(self, method: str, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        if self._channel is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the proxy leads nowhere yet")
            return
        metadata = [(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]
        with self._lock:
            self.calls[method] += 1
        left_s = context.time_remaining()  # enormous for a call without a deadline
        timeout = left_s if left_s is not None and left_s < 1e6 else None
        call = self._channel.stream_stream(method)(messages, metadata=metadata, timeout=timeout)
        context.add_callback(call.cancel)
        try:
            for reply in call:
                with self._lock:
                    self.received[method] += len(reply)
                yield self.tamper(method, reply)
        except grpc.RpcError as error:
            context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
            context.abort(error.code(), error.details() or "")


@contextmanager
def grpc_proxy(upstream: str = "") -> Iterator[GrpcProxy]:
    """A proxy that serves; `to` says later where it leads, if that is not known yet."""
    proxy = GrpcProxy()
    with ThreadPoolExecutor(32) as pool:
        server = grpc.server(pool, handlers=[proxy], options=OPTIONS)
        proxy.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        if upstream:
            proxy.to(upstream)
        try:
            yield proxy
        finally:
            proxy.close()
            server.stop(0).wait(60)


def flip(method: str, reply: bytes) -> bytes:
    """A tamper that changes one byte of every blob's piece, late in it, where the blob's bytes are."""
    if method != FETCH or len(reply) < 64:
        return reply
    place = len(reply) * 3 // 4
    return reply[:place] + bytes([reply[place] ^ 1]) + reply[place + 1 :]
