"""The demo's agents: processes with configurations of their own, started without a model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.processes import Program, end

TIERS = ("device", "far-edge", "near-edge", "cloud")

_CONFIG = """
[agent]
id = "{name}"
tier = "{tier}"
tiers = {tiers}
region = "demo"
listen = "127.0.0.1:0"
state_dir = {state}
[cascade]
trust = "network"
hop_delay_ms = {delay_ms}
[tickets]
access = "network"
[telemetry]
sample_rate = {rate}
[control_plane]
join = "{join}"
[discovery]
"""


@dataclass(frozen=True)
class MeshOptions:
    """`join` is how agents join the control plane, `consul` where they find each other instead of through it.

    `delays_ms` are added to the three hops; so many `devices` are there, and one agent of each other tier.
    """

    join: str
    delays_ms: Sequence[float]
    sample_rate: float
    devices: int = 1
    consul: str | None = None
    audits: tuple[float, float] | None = None
    """The share of questions that are audited and how many a second at most, where they are not the agent's own."""


@dataclass
class Running:
    """One agent."""

    name: str
    tier: str
    program: Program
    address: str = ""


class Mesh:
    """Starts the agents; `stop` ends those that still run."""

    def __init__(self, folder: Path, options: MeshOptions) -> None:
        self.agents: dict[str, Running] = {}
        """By id: device-1, far-edge-1 and so on, lowest tier first."""
        self._folder = folder
        self._options = options
        self._delays = dict(zip(TIERS, [*options.delays_ms, 0.0], strict=True))

    @property
    def devices(self) -> list[Running]:
        """The agents that are asked."""
        return [agent for agent in self.agents.values() if agent.tier == TIERS[0]]

    def start(self) -> None:
        """Starts all and waits until they can be called; raises DemoFailed with the log of one that can't."""
        for tier in TIERS:
            for number in range(1, 1 + (self._options.devices if tier == TIERS[0] else 1)):
                name = f"{tier}-{number}"
                config = self._folder / f"{name}.toml"
                config.write_text(self._config(name, tier))
                program = Program(name, ["-m", "upriver_agent", "--config", str(config)], self._folder)
                self.agents[name] = Running(name, tier, program)
        for agent in self.agents.values():
            agent.address = agent.program.wait_ready()["address"]

    def first(self, tier: str) -> Running:
        """The first agent of a tier."""
        return self.agents[f"{tier}-1"]

    def stop(self) -> None:
        """Ends all."""
        end(agent.program for agent in self.agents.values())

    def _config(self, name: str, tier: str) -> str:
        options = self._options
        text = _CONFIG.format(
            name=name,
            tier=tier,
            tiers=json.dumps(TIERS),
            state=json.dumps(str(self._folder / f"state-{name}")),
            delay_ms=self._delays[tier],
            rate=options.sample_rate,
            join=options.join,
        )
        if options.audits is not None:
            rate, per_s = options.audits
            text = f"[audits]\nrate = {rate}\nmax_rate = {rate}\nper_s = {per_s}\n{text}"
        if options.consul is not None:
            return f'{text}kind = "consul"\n[discovery.consul]\naddress = "{options.consul}"\n'
        return f'{text}kind = "control-plane"\n'
