"""The demo's agents: four processes with configurations of their own, ended by pid."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TIERS = ("device", "far-edge", "near-edge", "cloud")
MODELS = Path(__file__).parent / "models"
START_S = 60.0

_CONFIG = """
[agent]
id = "{tier}-1"
tier = "{tier}"
tiers = {tiers}
region = "demo"
listen = "127.0.0.1:0"
state_dir = {state}
[cascade]
trust = "network"
hop_delay_ms = {delay_ms}
[telemetry]
otlp_endpoint = {otlp}
sample_rate = {rate}
[[models]]
path = {model}
[discovery]
"""


class DemoFailed(Exception):
    """The demo can't go on; the message is for the person who started it."""


@dataclass
class Running:
    """One agent process."""

    tier: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def name(self) -> str:
        """The agent's id."""
        return f"{self.tier}-1"


class Mesh:
    """Starts the agents, top first; `stop` ends those that still run."""

    def __init__(
        self, folder: Path, otlp: str, delays_ms: Sequence[float], sample_rate: float, consul: str | None = None
    ) -> None:
        self.agents: dict[str, Running] = {}
        self._folder = folder
        self._otlp = otlp
        self._rate = sample_rate
        self._consul = consul
        self._delays = dict(zip(TIERS, [*delays_ms, 0.0], strict=True))

    def start(self) -> None:
        """Starts all four and waits until they serve; raises DemoFailed with the log of one that does not."""
        for tier in reversed(TIERS):
            self.agents[tier] = self._start(tier)

    def kill(self, tier: str) -> None:
        """kill -9."""
        self.agents[tier].process.kill()

    def stop(self) -> None:
        """Asks all to end, waits, and kills what has not ended in ten seconds."""
        running = [agent.process for agent in self.agents.values() if agent.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def _start(self, tier: str) -> Running:
        config = self._folder / f"{tier}.toml"
        config.write_text(self._config(tier))
        ready = self._folder / f"{tier}.ready"
        log = self._folder / f"{tier}.log"
        command = [sys.executable, "-m", "upriver_agent", "--config", str(config), "--ready-file", str(ready)]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("UPRIVER_")}
        with log.open("wb") as out:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends its agents in order.
            process = subprocess.Popen(  # noqa: S603 - our own program and arguments
                command, stdout=out, stderr=subprocess.STDOUT, env=environ, start_new_session=True
            )
        agent = Running(tier, "", process, log)
        self.agents[tier] = agent
        deadline = time.monotonic() + START_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"the agent {tier}-1 did not start; its log:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        agent.address = json.loads(ready.read_text())["address"]
        return agent

    def _config(self, tier: str) -> str:
        text = _CONFIG.format(
            tier=tier,
            tiers=json.dumps(TIERS),
            state=json.dumps(str(self._folder / f"state-{tier}")),
            delay_ms=self._delays[tier],
            otlp=json.dumps(self._otlp),
            rate=self._rate,
            model=json.dumps(str(MODELS / tier)),
        )
        if self._consul is not None:
            return f'{text}kind = "consul"\n[discovery.consul]\naddress = "{self._consul}"\n'
        text += 'kind = "static"\n'
        for above in TIERS[TIERS.index(tier) + 1 :]:
            upstream = self.agents[above]
            text += f'[[discovery.static]]\nid = "{upstream.name}"\naddress = "{upstream.address}"\n'
            text += f'tier = "{above}"\nregion = "demo"\n'
        return text
