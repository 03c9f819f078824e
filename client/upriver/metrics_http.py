"""Metrics over HTTP, for Prometheus to fetch: `GET /metrics`, and nothing else.

Loaded only where somebody configured an address. A scraper that is slow holds one of two connections, for at most
`MAX_S`; more than two at a time are cut off.
"""

import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from upriver.errors import ConfigError
from upriver.exposition import CLASSIC_TYPE, OPENMETRICS_TYPE, classic, openmetrics, wants_openmetrics
from upriver.families import Family

_LOG = logging.getLogger(__name__)
PATH: Final = "/metrics"
MAX_CONNECTIONS: Final = 2
MAX_S: Final = 5.0


class MetricsServer:
    """Serves what `collect` gives at the time, on threads of its own."""

    def __init__(self, address: str, collect: Callable[[], Iterable[Family]]) -> None:
        """Binds `address`, host:port; port 0 is any. Raises ConfigError when it can't."""
        host, _, port = address.rpartition(":")
        try:
            self._server = _Server((host.strip("[]"), int(port)), collect)
        except OSError as error:
            raise ConfigError(
                "can't serve metrics",
                [
                    f"metrics.listen = {address!r}: {error.strerror or error};"
                    " expected a free port on an address of this host"
                ],
            ) from error
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="upriver-metrics", daemon=True)

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def close(self) -> None:
        """Ends, and cuts off who is being answered."""
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join(MAX_S)
        self._server.server_close()
        self._server.cut_off(0.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 8

    def __init__(self, address: tuple[str, int], collect: Callable[[], Iterable[Family]]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.collect = collect
        self.collecting = threading.Lock()
        self._since: dict[socket.socket, float] = {}
        self._changing = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Binds. The base class would ask DNS for our own name here, and wait for a name server that is away."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection; who has had one for long enough makes room."""
        self.cut_off(MAX_S)
        with self._changing:
            if len(self._since) >= MAX_CONNECTIONS:
                return False
            self._since[request] = time.monotonic()
            return True

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection."""
        with self._changing:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Twice a second: nobody is waited for longer than `MAX_S`."""
        self.cut_off(MAX_S)

    def cut_off(self, after_s: float) -> None:
        """Cuts off connections that are older."""
        now = time.monotonic()
        with self._changing:
            old = [request for request, since in self._since.items() if now - since >= after_s]
        for request in old:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has gone by itself
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that goes away is none of our trouble."""
        _LOG.debug("a scraper went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "upriver"
    sys_version = ""
    timeout = MAX_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, f"expected {PATH}")
            return
        chosen = wants_openmetrics(self.headers.get("Accept", ""))
        try:
            with self.server.collecting:  # collectors keep what they saw last
                families = list(self.server.collect())
            body = (openmetrics if chosen else classic)(families)
        except Exception as error:  # noqa: BLE001 - told to the scraper and logged; the next one may succeed
            _LOG.exception("metrics could not be collected")
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, f"collecting failed: {type(error).__name__}")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", OPENMETRICS_TYPE if chosen else CLASSIC_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        _LOG.debug(format, *args)
