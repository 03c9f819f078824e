"""The control plane that `scripts/bench fleet` measures, as a process, and what an operator asks of it meanwhile."""

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from bench.servers import Server
from upriver.services import Stub
from upriver.v1 import fleet_pb2, rollout_pb2

ROLLOUTS = rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"]
FLEET = fleet_pb2.DESCRIPTOR.services_by_name["FleetService"]
CALL_S = 60.0
PROBE_S = 0.1
_PORTS = (20_000, 32_000)
"""Below those that the kernel takes for outgoing connections: agents that redial must not take the control plane's."""


class FleetFailed(Exception):
    """The fleet did not do what was to be measured."""


class ControlPlane:
    """A real control plane in a folder: it can be killed and started again, on the same port."""

    def __init__(self, folder: Path, settings: str = "", log_level: str = "warning") -> None:
        """`settings` are further lines of [server]."""
        self._folder = folder
        self._port = quiet_port()
        self._spent_s = 0.0
        self._server: Server | None = None
        self.ready_at = 0.0
        config = folder / "control.toml"
        config.write_text(
            f'[state]\nfolder = "{folder / "state"}"\n[server]\nlisten = "{self.address}"\n{settings}\n'
            f'[log]\nlevel = "{log_level}"\n[console]\nenabled = false\n'
        )

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._port}"

    @property
    def log(self) -> Path:
        """What it has logged."""
        return self._folder / "log"

    @property
    def join_token(self) -> str:
        """What agents show."""
        return (self._folder / "state" / "join-token").read_text().strip()

    def join_text(self) -> str:
        """What agents are configured with; once it is ready."""
        return str(json.loads((self._folder / "ready").read_text())["join"])

    def start(self) -> None:
        """Starts it, and notes in `ready_at` when it was ready; raises ServerFailed."""
        ready = self._folder / "ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "upriver_control", "run", "-c", str(self._folder / "control.toml")]
        self._server = Server(
            "control plane", [*command, "--ready-file", str(ready)], self._folder / "log", environment()
        )
        self._server.wait(ready.exists)
        self.ready_at = time.monotonic()

    def kill(self) -> None:
        """kill -9."""
        self._spent_s = self.cpu_s()
        if self._server is not None:
            self._server.kill()
        self._server = None

    def stop(self) -> None:
        """Ends it, if it still runs."""
        if self._server is not None:
            self._server.stop()

    def cpu_s(self) -> float:
        """User and system time so far, over restarts."""
        return self._spent_s + (self._server.cpu_s() if self._server is not None else 0.0)

    def rss_kb(self) -> float:
        """Resident memory in 1,000 bytes."""
        return self._server.rss_mb() * 1e3 if self._server is not None else 0.0

    def upriver(self, *arguments: str) -> None:
        """Runs an operator's command; raises FleetFailed with what it said."""
        access = {"UPRIVER_CONTROL_PLANE": self.address, "UPRIVER_TOKEN_FILE": str(self._token_file)}
        done = subprocess.run(  # noqa: S603 - our own command line
            [str(Path(sys.executable).with_name("upriver")), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment() | access,
        )
        if done.returncode:
            raise FleetFailed(f"upriver {' '.join(arguments)}: {done.stderr or done.stdout}")

    def operator(self) -> "Operator":
        """An operator's calls; close it."""
        return Operator(self.address, self._token_file.read_text().strip())

    @property
    def _token_file(self) -> Path:
        return self._folder / "state" / "operator-token"


class Operator:
    """An operator's calls on a channel of its own. A context manager."""

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self._rollouts, self._fleet = Stub(self._channel, ROLLOUTS), Stub(self._channel, FLEET)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def start(self, version: str, policy_overrides: str = "") -> str:
        """Starts a rollout to all agents at once and gives its name."""
        strategy = rollout_pb2.Strategy(rings=[rollout_pb2.Ring(percent=100.0)])
        request = rollout_pb2.CreateRolloutRequest(
            version=version, strategy=strategy, policy_overrides=policy_overrides
        )
        return str(self._call(self._rollouts.CreateRollout, request).rollout.name)

    def rollout(self, name: str) -> rollout_pb2.Rollout:
        """A rollout as it is now."""
        found: rollout_pb2.Rollout = self._call(
            self._rollouts.GetRollout, rollout_pb2.GetRolloutRequest(name=name)
        ).rollout
        return found

    def connected(self) -> int:
        """How many agents the control plane says are connected."""
        return sum(agent.connected for agent in self.agents())

    def agents(self) -> Iterator[fleet_pb2.Agent]:
        """Every agent that the control plane knows."""
        token = ""
        while True:
            request = fleet_pb2.ListAgentsRequest(page_size=1000, page_token=token)
            page: fleet_pb2.ListAgentsResponse = self._call(self._fleet.ListAgents, request)
            yield from page.agents
            token = page.next_page_token
            if not token:
                return

    def _call(self, method: Any, request: Any) -> Any:
        return method(request, timeout=CALL_S, metadata=self._metadata, wait_for_ready=True)

    def __enter__(self) -> "Operator":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


class Probe:
    """Somebody who asks for a rollout all the time, and how long answers took in ms. A context manager."""

    def __init__(self, operator: Operator, name: str) -> None:
        self.took_ms: list[float] = []
        self.trouble = ""
        self._operator = operator
        self._name = name
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._ended.wait(PROBE_S):
            began = time.monotonic()
            try:
                self._operator.rollout(self._name)
            except grpc.RpcError as error:
                self.trouble = str(error)
                return
            self.took_ms.append((time.monotonic() - began) * 1e3)

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(CALL_S)


def environment() -> dict[str, str]:
    """This process's environment without settings of Upriver's own."""
    return {key: value for key, value in os.environ.items() if not key.startswith("UPRIVER_")}


def quiet_port() -> int:
    """A port on this machine that nobody uses now, and that no outgoing connection will take."""
    for _ in range(100):
        port = random.randrange(*_PORTS)  # noqa: S311 - any will do
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise FleetFailed(f"no port from {_PORTS[0]} to {_PORTS[1]} is free")
