"""The agents of two regions that learn: devices and a near edge in each, a cloud for both; started without a model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from demo.mesh import TIERS, Running
from demo.processes import Program, end
from demo.streams import REGIONS

DEVICES: Final = 2
"""In each region."""
LADDER: Final = (TIERS[0], TIERS[2], TIERS[3])
"""Device, near edge, cloud."""
MAX_LOSS: Final = 0.01
HOLDOUT: Final = 0.4
"""Two questions of five never teach: certificates need them first, and here they are to come within seconds."""
_EVERYWHERE = "core"

_CONFIG = """
[agent]
id = "{name}"
tier = "{tier}"
tiers = {tiers}
region = "{region}"
listen = "127.0.0.1:0"
state_dir = {state}
[cascade]
trust = "network"
[tickets]
access = "network"
[audits]
max_rate = 0.9
per_s = 2000.0
[learning]
trust = "network"
access = "network"
holdout = {holdout}
max_loss = {max_loss}
confidence = 0.95
quorum = 1
keep_inputs = true
share = "inputs"
pool_s = 1.0
caller_per_min = 0.0
teacher_per_min = 0.0
[telemetry]
sample_rate = 0.0
[control_plane]
join = "{join}"
[discovery]
kind = "control-plane"
"""


class RegionalMesh:
    """Starts the agents; `stop` ends those that still run."""

    def __init__(self, folder: Path, join: str) -> None:
        self.agents: dict[str, Running] = {}
        """By id: device-west-1 and so on."""
        self._folder = folder
        self._join = join

    def start(self) -> None:
        """Starts all and waits until they can be called; raises DemoFailed with the log of one that can't."""
        for region in REGIONS:
            for number in range(1, DEVICES + 1):
                self._start(f"{LADDER[0]}-{region}{number}", LADDER[0], region)
            self._start(f"{LADDER[1]}-{region}1", LADDER[1], region)
        self._start(f"{LADDER[2]}-1", LADDER[2], _EVERYWHERE)
        for agent in self.agents.values():
            agent.address = agent.program.wait_ready()["address"]

    def devices(self, region: str) -> Sequence[Running]:
        """The agents that are asked in a region."""
        return [agent for agent in self.agents.values() if agent.name.startswith(f"{LADDER[0]}-{region}")]

    @property
    def regions(self) -> Sequence[str]:
        """Their names."""
        return tuple(REGIONS)

    @property
    def all_devices(self) -> Sequence[Running]:
        """Those of every region."""
        return [device for region in REGIONS for device in self.devices(region)]

    @property
    def top(self) -> Running:
        """The cloud."""
        return self.agents[f"{LADDER[2]}-1"]

    def stop(self) -> None:
        """Ends all."""
        end(agent.program for agent in self.agents.values())

    def _start(self, name: str, tier: str, region: str) -> None:
        config = self._folder / f"{name}.toml"
        config.write_text(
            _CONFIG.format(
                name=name,
                tier=tier,
                tiers=json.dumps(LADDER),
                region=region,
                state=json.dumps(str(self._folder / f"state-{name}")),
                holdout=HOLDOUT,
                max_loss=MAX_LOSS,
                join=self._join,
            )
        )
        program = Program(name, ["-m", "upriver_agent", "--config", str(config)], self._folder)
        self.agents[name] = Running(name, tier, program)
