"""The four tiers that `scripts/bench outage` breaks, as processes with relays or a network between them."""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.fleet_control import environment, quiet_port
from bench.network import Network
from bench.relay import Order, Relays, Route
from bench.servers import Server

TIERS = ("device", "far-edge", "near-edge", "cloud")
UPPER = TIERS[1:]
MODELS = Path(__file__).resolve().parents[1] / "demo" / "models"

_CONFIG = """
[agent]
id = "{name}"
tier = "{tier}"
tiers = {tiers}
listen = "{listen}"
state_dir = {state}
[cascade]
trust = "network"
preset = "{preset}"
[log]
level = "info"
[[models]]
path = {model}
[discovery]
kind = "static"
"""
_UPSTREAM = """
[[discovery.static]]
id = "{name}"
address = "{address}"
tier = "{tier}"
"""


@dataclass
class Agent:
    """One agent: where it listens, where those below call it, and what its process is started with."""

    tier: str
    listen: str
    called_at: str
    command: Sequence[str]
    log: Path
    ready: Path
    server: Server | None = None

    @property
    def name(self) -> str:
        """Its id."""
        return f"{self.tier}-1"

    @property
    def pid(self) -> int:
        """Of the agent itself."""
        return int(json.loads(self.ready.read_text())["pid"])


class Mesh:
    """One agent of each tier, with their models. With a `network` it can be partitioned, else there are relays."""

    def __init__(self, folder: Path, preset: str, network: Network | None) -> None:
        self._folder = folder
        self._preset = preset
        self._network = network
        self._relays: Relays | None = None
        self.agents = {tier: self._agent(tier) for tier in TIERS}
        for agent in self.agents.values():
            self._configure(agent)

    def start(self, stack: ExitStack) -> None:
        """Starts everything; it ends with the stack."""
        if self._network is None:
            routes = [Route(agent.called_at, agent.listen) for agent in self.agents.values() if agent.tier in UPPER]
            self._relays = stack.enter_context(Relays(routes))
        for agent in self.agents.values():
            stack.callback(self._stop, agent)
            self._launch(agent)
        for agent in self.agents.values():
            self._wait(agent)

    @property
    def device(self) -> str:
        """Where questions are asked."""
        return self.agents[TIERS[0]].listen

    def relay(self, tier: str, order: Order) -> None:
        """Has the way to a tier behave so."""
        assert self._relays is not None  # noqa: S101 - only faults of meshes with relays come here
        self._relays.tell(order)

    def kill(self, tier: str) -> None:
        """kill -9."""
        server = self.agents[tier].server
        assert server is not None  # noqa: S101 - started before
        os.kill(self.agents[tier].pid, signal.SIGKILL)
        server.kill()

    def restart(self, tier: str) -> None:
        """Starts it again, without waiting for it."""
        self._launch(self.agents[tier])

    def signal(self, tier: str, number: signal.Signals) -> None:
        """Sends a signal to an agent."""
        os.kill(self.agents[tier].pid, number)

    def cut(self, tier: str) -> None:
        """Drops all packets to and from a tier."""
        assert self._network is not None  # noqa: S101 - only meshes in a network are cut
        self._network.cut(tier)

    def mend(self, tier: str) -> None:
        """Lets them through again."""
        assert self._network is not None  # noqa: S101 - only meshes in a network are cut
        self._network.mend(tier)

    def _agent(self, tier: str) -> Agent:
        config = self._folder / f"{tier}.toml"
        ready = self._folder / f"{tier}.ready"
        command = [sys.executable, "-m", "upriver_agent", "--config", str(config), "--ready-file", str(ready)]
        if self._network is not None:
            listen = f"{self._network.address(tier)}:8470"
            command = [*self._network.inside(tier), *command]
            called_at = listen
        else:
            listen, called_at = f"127.0.0.1:{quiet_port()}", f"127.0.0.1:{quiet_port()}"
        return Agent(tier, listen, called_at, command, self._folder / f"{tier}.log", ready)

    def _configure(self, agent: Agent) -> None:
        text = _CONFIG.format(
            name=agent.name,
            tier=agent.tier,
            tiers=json.dumps(TIERS),
            listen=agent.listen,
            state=json.dumps(str(self._folder / f"{agent.tier}.state")),
            preset=self._preset,
            model=json.dumps(str(MODELS / agent.tier)),
        )
        for above in TIERS[TIERS.index(agent.tier) + 1 :]:
            other = self.agents[above]
            text += _UPSTREAM.format(name=other.name, address=other.called_at, tier=above)
        (self._folder / f"{agent.tier}.toml").write_text(text)

    def _launch(self, agent: Agent) -> None:
        agent.ready.unlink(missing_ok=True)
        agent.server = Server(agent.name, agent.command, agent.log, environment())

    def _wait(self, agent: Agent) -> None:
        assert agent.server is not None  # noqa: S101 - launched before
        agent.server.wait(agent.ready.exists)

    def _stop(self, agent: Agent) -> None:
        if agent.server is None:
            return
        if agent.ready.exists():
            try:
                os.kill(agent.pid, signal.SIGCONT)
            except ProcessLookupError:
                return
        agent.server.stop()


def sleep_until(when_s: float) -> None:
    """Waits for a time of CLOCK_MONOTONIC."""
    time.sleep(max(0.0, when_s - time.monotonic()))
