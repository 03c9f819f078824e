"""A real Consul for `scripts/demo --consul`: one agent in development mode on free ports of loopback."""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.processes import DemoFailed

_SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "consul"
_START_S = 60.0


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class ConsulProcess:
    """One Consul agent in development mode: its state is in memory, so that a restart forgets everything."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        """`settings` is further configuration in Consul's own language. Raises DemoFailed when there is no Consul."""
        self._binary = _binary()
        self._log = folder / "consul.log"
        self._settings = folder / "consul-settings.hcl"
        self._settings.write_text(settings)
        self._ports = _free_ports(4)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where its HTTP API is."""
        return f"http://127.0.0.1:{self._ports[0]}"

    def start(self) -> None:
        """Starts it and waits until it leads; raises DemoFailed with its log."""
        http_port, server, lan, wan = self._ports
        command = [self._binary, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", f"-http-port={http_port}"]
        command += [f"-server-port={server}", f"-serf-lan-port={lan}", f"-serf-wan-port={wan}"]
        command += ["-grpc-port=-1", "-dns-port=-1", f"-config-file={self._settings}"]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - a binary that scripts/consul vouches for
                command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + _START_S
        while not _leads(http_port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"Consul did not start; its log:\n{self._log.read_text()[-1500:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


def _binary() -> str:
    found = subprocess.run([str(_SCRIPT)], capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    if found.returncode:
        raise DemoFailed(f"no Consul to be had: {found.stderr.strip()[-800:]}")
    return found.stdout.strip().splitlines()[-1]


@contextmanager
def consul(folder: Path) -> Iterator[str]:
    """Gives the HTTP address of a Consul while it runs; raises DemoFailed when there is none to be had."""
    process = ConsulProcess(folder)
    try:
        process.start()
        yield process.address
    finally:
        process.kill()


def _leads(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v1/status/leader")
        return len(connection.getresponse().read()) > 2  # '""' until there is a leader
    except OSError:
        return False
    finally:
        connection.close()
