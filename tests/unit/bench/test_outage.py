"""What the benchmark of outages makes of what its traffic saw, and the relays that it breaks."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.fleet_control import quiet_port
from bench.outage import main, summed_up
from bench.outage_faults import FAULTS, broken
from bench.outage_traffic import Seen
from bench.relay import Order, Relays, Route

WAIT_S = 60.0


def answer(due_s: float, took_s: float = 0.01, **more: object) -> Seen:
    return Seen(due_s, due_s, took_s, path=("device-1", "cloud-1"), **more)  # type: ignore[arg-type]  # by name, as given


def test_an_answer_after_its_deadline_and_none_at_all_are_late_and_other_errors_are_failures() -> None:
    seen = [
        answer(0.0),
        answer(1.0, 1.5),
        Seen(2.0, 2.0, 1.0, "DEADLINE_EXCEEDED"),
        Seen(3.0, 3.0, 0.1, "UNAVAILABLE"),
        answer(4.0, degraded=True),
    ]
    told = summed_up(seen, {}, 1.0, 0, "process")
    assert (told.answered, told.failed, told.late, told.degraded) == (3, 1, 2, 1)


def test_recovery_is_told_by_the_first_question_after_the_fault_that_came_through_the_tier() -> None:
    seen = [answer(9.0), answer(9.95, 0.2), answer(10.5, 0.25), answer(11.0)]
    assert summed_up(seen, {"cloud-1": 10.0}, 1.0, 0, "process").recovered_s == 0.75
    assert summed_up(seen, {"cloud-1": 10.0, "far-edge-1": 2.0}, 1.0, 0, "process").recovered_s is None


def test_no_answer_at_all_is_no_error_of_the_benchmark() -> None:
    assert summed_up([], {"cloud-1": 1.0}, 1.0, 0, "process").p99_ms == 0.0


def test_a_fault_is_taken_away_when_what_goes_on_meanwhile_fails() -> None:
    steps: list[str] = []

    def fault(_mesh: object, _tier: str) -> Iterator[None]:
        steps.append("on")
        yield
        steps.append("off")

    with pytest.raises(ValueError, match="x"), broken(fault, None, "cloud"):  # type: ignore[arg-type]  # no mesh is needed
        raise ValueError("x")
    assert steps == ["on", "off"]


def test_there_is_a_fault_for_each_that_is_promised(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixtures
    assert list(FAULTS) == ["killed", "frozen", "slowed", "flapping", "partitioned"]
    with pytest.raises(SystemExit):
        main(["--faults", "struck-by-lightning"])
    with pytest.raises(SystemExit):
        main(["--seconds", "-1", "--json", str(tmp_path / "x")])
    assert "expected a number above 0" in capsys.readouterr().err


@contextmanager
def echo() -> Iterator[str]:
    """A server that sends back what it gets, on every connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(100):
                        connection.sendall(data)
                except OSError:
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), WAIT_S)


def test_a_relay_passes_on_is_slow_passes_nothing_on_and_ends_connections() -> None:
    listen = f"127.0.0.1:{quiet_port()}"
    with echo() as address, Relays([Route(listen, address)]) as relays:
        with connect(listen) as one:
            one.sendall(b"as it is")
            assert one.recv(100) == b"as it is"
            relays.tell(Order(listen, delay_s=0.2))
            began = time.monotonic()
            one.sendall(b"slow")
            assert one.recv(100) == b"slow"
            assert time.monotonic() - began >= 0.2
            relays.tell(Order(listen, "cut"))
            one.sendall(b"held")
            one.settimeout(0.1)
            with pytest.raises(TimeoutError):
                one.recv(100)
            relays.tell(Order(listen))
            one.settimeout(WAIT_S)
            assert one.recv(100) == b"held"
            relays.tell(Order(listen, "reset"))
            with pytest.raises(ConnectionResetError):
                one.recv(100)
        with pytest.raises(ConnectionResetError), connect(listen) as another:
            another.recv(100)
        relays.tell(Order(listen))
        with connect(listen) as third:
            third.sendall(b"again")
            assert third.recv(100) == b"again"
