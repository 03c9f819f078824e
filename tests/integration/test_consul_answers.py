"""Servers that are no Consul, or a broken one: discovery says so, goes on trying, and is never waited for."""

import http.server
import logging
import threading
import time
from contextlib import contextmanager

import pytest

from tests.agent_process import until
from upriver.discovery.consul import ConsulDiscovery, ConsulOptions
from upriver.discovery.port import AgentRecord

ME = AgentRecord("me", "device", "here", "127.0.0.1:7000", 1, {}, 0.0)


@contextmanager
def answering(reply):
    """A server that answers each path as `reply` says: status, headers, body or its parts.

    Gives its address and the paths that were asked for.
    """
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.split("?")[0]
            seen.append(path)
            status, headers, body = reply(path)
            self.send_response(status)
            whole = isinstance(body, bytes)
            for name, value in {**headers, "Content-Length": str(len(body) if whole else 1000)}.items():
                self.send_header(name, value)
            self.end_headers()
            for part in [body] if whole else body:
                self.wfile.write(part)
            self.close_connection = not whole

        do_PUT = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def plain(path):
    return (200, {"X-Consul-Index": "5"}, b"[]" if "/health/" in path else b"")


def count(seen, part):
    return sum(part in path for path in seen)


@pytest.mark.parametrize(
    "broken",
    [
        (200, {"Content-Encoding": "gzip"}, b"not gzip"),
        (301, {"Location": "/elsewhere"}, b""),
        (200, {"X-Consul-Index": "5"}, b"[" * 50_000),
    ],
    ids=["not gzip", "redirects", "nested without end"],
)
def test_discovery_goes_on_trying_what_answers_nonsense(tmp_path, caplog, broken):
    with answering(lambda _: broken) as (address, seen), caplog.at_level(logging.WARNING):
        discovery = ConsulDiscovery(ConsulOptions(address=address), tmp_path)
        discovery.start(ME)
        until(lambda: count(seen, "/health/") > 2, what="more tries")
        discovery.close()
    assert "going on with the last known agents" in caplog.text


def test_a_redirect_registers_nobody_and_is_told(tmp_path, caplog):
    with answering(lambda _: (301, {"Location": "/elsewhere"}, b"")) as (address, seen):
        discovery = ConsulDiscovery(ConsulOptions(address=address), tmp_path)
        discovery.start(ME)
        until(lambda: count(seen, "/register") > 1, what="another try to register")
        discovery.close()
    assert "not registered: Consul answered 301" in caplog.text
    assert count(seen, "/check/") == 0


@pytest.mark.parametrize(
    "content", ["tök".encode(), b"\xff\xfe", b"two\nlines"], ids=["accents", "binary", "two lines"]
)
def test_a_token_that_no_header_takes_is_told_and_sent_nowhere(tmp_path, caplog, content):
    token = tmp_path / "token"
    token.write_bytes(content)
    with answering(plain) as (address, seen):
        discovery = ConsulDiscovery(ConsulOptions(address=address, token_file=token), tmp_path)
        discovery.start(ME)
        until(lambda: len(caplog.records) >= 2, what="both threads to tell")
        discovery.close()
    assert all(f"discovery.consul.token_file {str(token)!r}" in record.getMessage() for record in caplog.records)
    assert seen == []


def test_a_consul_that_forgets_again_and_again_is_not_hammered(tmp_path):
    def forgetting(path):
        return (404, {}, b"unknown check") if "/check/" in path else plain(path)

    with answering(forgetting) as (address, seen):
        discovery = ConsulDiscovery(ConsulOptions(address=address), tmp_path)
        started = time.monotonic()
        discovery.start(ME)
        until(lambda: count(seen, "/register") >= 3, what="a third registration")
        until(lambda: time.monotonic() - started > 1.5, what="a second and a half")
        discovery.close()
    assert count(seen, "/register") <= 20  # without growing pauses it was 23 a second


def test_closing_waits_for_no_answer_that_comes_a_byte_at_a_time(tmp_path):
    ended = threading.Event()

    def dripping():
        yield b"x"
        while not ended.wait(0.3):
            yield b"x"

    def reply(path):
        return (200, {}, dripping()) if "/deregister/" in path else plain(path)

    with answering(reply) as (address, seen):
        discovery = ConsulDiscovery(ConsulOptions(address=address), tmp_path)
        discovery.start(ME)
        until(lambda: count(seen, "/check/"), what="the registration")
        closing = threading.Thread(target=discovery.close)
        closing.start()
        closing.join(2.5)
        waited = closing.is_alive()
        ended.set()
        closing.join(10)
    assert not waited
