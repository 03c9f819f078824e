"""Control planes as processes for the tests, the commands that operators give, and agents that follow them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.agent_process import START_S, AgentProcess, running, write_config
from upriver.services import Stub
from upriver.v1 import fleet_pb2, rollout_pb2

ROLLOUTS = rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"]
FLEET = fleet_pb2.DESCRIPTOR.services_by_name["FleetService"]
FREE_CONSOLE = '[console]\nlisten = "127.0.0.1:0"\n'
"""Settings with which there are pages, on a free port."""


@dataclass
class ControlPlaneProcess:
    """One control plane in a folder; it may be killed and started again, and keeps its ports then."""

    folder: Path
    settings: str = ""
    name: str = "control"
    server: str = ""
    """Further settings of [server]. Without a section [console] in `settings` there is none: it takes a port."""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    join: str = ""
    console: str = ""
    """Where its pages are, `http://host:port`; empty where it has none."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def token(self) -> str:
        return (self.state / "operator-token").read_text().strip()

    def start(self, wait: bool = True) -> None:
        self.folder.mkdir(exist_ok=True)
        config = self.folder / f"{self.name}.toml"
        console = "" if "[console]" in self.settings else "[console]\nenabled = false\n"
        settings = self.settings
        if self.console:  # as `port`
            settings = settings.replace(FREE_CONSOLE, FREE_CONSOLE.replace(":0", f":{self.console.rpartition(':')[2]}"))
        config.write_text(
            f'[state]\nfolder = "{self.state}"\n{settings}\n[server]\nlisten = "127.0.0.1:{self.port}"\n'
            + self.server
            + console
        )
        ready = self.folder / f"{self.name}.ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "upriver_control", "run", "-c", str(config), "--ready-file", str(ready)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment())
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        ready = self.folder / f"{self.name}.ready"
        deadline = time.monotonic() + START_S
        while not ready.exists():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the control plane did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.02)
        facts = json.loads(ready.read_text())
        self.port, self.join = int(facts["address"].rpartition(":")[2]), facts["join"]
        self.console = facts.get("console", "")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def upriver(self, *arguments: str, check: bool = True, timeout_s: float = 120.0) -> str:
        """Runs an operator's command and gives what it printed."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("upriver")), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=self.operator(),
        )
        if check and done.returncode:
            raise AssertionError(f"upriver {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def operator(self) -> dict[str, str]:
        """The environment that an operator's commands run in."""
        access = {"UPRIVER_CONTROL_PLANE": self.address}
        if (token := self.state / "operator-token").exists():
            access["UPRIVER_TOKEN_FILE"] = str(token)
        return environment() | access

    @contextmanager
    def stubs(self) -> Iterator["Operator"]:
        with grpc.insecure_channel(self.address) as channel:
            yield Operator(channel, self.token)


class Operator:
    """The services, with the operator's token."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._rollouts, self._fleet = Stub(channel, ROLLOUTS), Stub(channel, FLEET)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def start(
        self,
        version: str,
        selector: str = "",
        strategy: rollout_pb2.Strategy | None = None,
        request_id: str = "",
        overrides: str = "",
    ):
        request = rollout_pb2.CreateRolloutRequest(
            version=version, selector=selector, strategy=strategy, request_id=request_id, policy_overrides=overrides
        )
        return self._rollouts.CreateRollout(request, timeout=60, metadata=self._metadata, wait_for_ready=True).rollout

    def rollout(self, name: str):
        request = rollout_pb2.GetRolloutRequest(name=name)
        return self._rollouts.GetRollout(request, timeout=60, metadata=self._metadata, wait_for_ready=True).rollout

    def resume(self, name: str):
        return self._rollouts.ResumeRollout(
            rollout_pb2.ResumeRolloutRequest(name=name), timeout=30, metadata=self._metadata
        ).rollout

    def agents(self, selector: str = ""):
        request = fleet_pb2.ListAgentsRequest(page_size=1000, selector=selector)
        listed = self._fleet.ListAgents(request, timeout=60, metadata=self._metadata, wait_for_ready=True)
        return {agent.name.removeprefix("agents/"): agent for agent in listed.agents}


def environment() -> dict[str, str]:
    """This process's environment without settings of Upriver's own."""
    return {key: value for key, value in os.environ.items() if not key.startswith("UPRIVER_")}


@contextmanager
def control_plane(
    folder: Path, settings: str = "", name: str = "control", server: str = ""
) -> Iterator[ControlPlaneProcess]:
    """A control plane that serves; killed at the end if it still runs."""
    plane = ControlPlaneProcess(folder, settings, name, server)
    try:
        plane.start()
        yield plane
    finally:
        if plane.process is not None and plane.process.poll() is None:
            plane.kill()


TIERS = ("device", "far-edge", "near-edge", "cloud")


@contextmanager
def following(
    folder: Path,
    plane: ControlPlaneProcess,
    name: str,
    tier: str = "device",
    agent: str = "",
    more: str = "",
    models: Sequence[Path] = (),
    tiers: Sequence[str] = TIERS,
    control: str = "",
) -> Iterator[AgentProcess]:
    """An agent that joins a control plane and finds its upstreams through it.

    `agent` and `control` are further lines of [agent] and [control_plane], `more` is appended.
    """
    config = write_config(
        folder, name, tier, tiers, models,
        f'[cascade]\ntrust = "network"\n[control_plane]\njoin = "{plane.join}"\n{control}\n'
        f'[discovery]\nkind = "control-plane"\n{more}',
        agent=agent,
    )  # fmt: skip
    with running(config, name, tier) as process:
        yield process
