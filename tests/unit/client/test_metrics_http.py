"""Metrics over HTTP."""

import http.client
import socket
from collections.abc import Iterable, Iterator

import pytest

from upriver.errors import ConfigError
from upriver.exposition import CLASSIC_TYPE, OPENMETRICS_TYPE
from upriver.families import Family, Kind, Sample
from upriver.metrics_http import MAX_CONNECTIONS, MetricsServer


def _families() -> Iterable[Family]:
    return [Family("upriver_questions", Kind.COUNTER, "Questions.", "", [Sample({}, 3)])]


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer("127.0.0.1:0", _families)
    made.start()
    yield made
    made.close()


def _get(address: str, path: str = "/metrics", accept: str = "") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(address, timeout=5)
    connection.request("GET", path, headers={"Accept": accept} if accept else {})
    response = connection.getresponse()
    found = response.status, response.headers.get("Content-Type", ""), response.read().decode()
    connection.close()
    return found


def test_a_scraper_gets_the_text_that_it_reads(server: MetricsServer) -> None:
    status, kind, text = _get(server.address)
    assert (status, kind) == (200, CLASSIC_TYPE)
    assert "upriver_questions_total 3\n" in text
    status, kind, text = _get(server.address, accept="application/openmetrics-text;version=1.0.0")
    assert (status, kind) == (200, OPENMETRICS_TYPE)
    assert text.endswith("# EOF\n")


def test_nobody_is_asked_for_our_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(name: str = "") -> str:
        raise AssertionError(f"DNS is asked for {name}")

    monkeypatch.setattr(socket, "getfqdn", ask)
    server = MetricsServer("127.0.0.1:0", _families)
    server.start()
    assert _get(server.address)[0] == 200
    server.close()


def test_nothing_else_is_served(server: MetricsServer) -> None:
    assert _get(server.address, "/")[0] == 404


def test_a_collector_that_fails_is_told_and_the_next_scrape_succeeds() -> None:
    answers = iter([ValueError("broken"), _families()])

    def collect() -> Iterable[Family]:
        found = next(answers)
        if isinstance(found, ValueError):
            raise found
        return found

    server = MetricsServer("127.0.0.1:0", collect)
    server.start()
    assert _get(server.address)[0] == 500
    assert _get(server.address)[0] == 200
    server.close()


def test_connections_that_say_nothing_leave_no_room_and_are_cut_off_at_the_end(server: MetricsServer) -> None:
    host, _, port = server.address.rpartition(":")
    silent = [socket.create_connection((host, int(port)), 5) for _ in range(MAX_CONNECTIONS)]
    with pytest.raises((http.client.HTTPException, OSError)):
        _get(server.address)
    server.close()
    assert [one.recv(1) for one in silent] == [b""] * MAX_CONNECTIONS
    for one in silent:
        one.close()


def test_a_port_that_is_taken_is_told(server: MetricsServer) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.listen = '127\.0\.0\.1:"):
        MetricsServer(server.address, _families)
