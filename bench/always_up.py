"""Agents that answer nothing themselves: the baseline of the cascade benchmark, which asks the top for everything.

They have the demo's models with a threshold that nothing reaches, know by configuration who is next above them, and
audit nothing. Questions go up hop by hop, as the devices of a site reach a cloud through its edges.
"""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from demo.control import MODELS
from demo.mesh import TIERS
from demo.processes import DemoFailed, Program, end

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
compress = {compress}
[audits]
enabled = false
[[models]]
path = {model}
"""
_ABOVE = """[[discovery.static]]
id = "{tier}-1"
tier = "{tier}"
region = "demo"
address = "{address}"
"""


class AlwaysUp:
    """One agent of each tier. Inputs go up as they came unless `compress` is set; `delays_ms` are of the three hops."""

    def __init__(self, folder: Path, delays_ms: Sequence[float], compress: bool = False) -> None:
        self.address = ""
        """The device's."""
        self._folder = folder
        self._delays = dict(zip(TIERS, [*delays_ms, 0.0], strict=True))
        self._compress = compress
        self._programs: list[Program] = []

    def start(self) -> None:
        """Starts all from the top down; raises DemoFailed."""
        self._folder.mkdir()
        above = ""
        for tier in reversed(TIERS):
            config = self._folder / f"{tier}.toml"
            config.write_text(
                _CONFIG.format(
                    tier=tier,
                    tiers=json.dumps(TIERS),
                    state=json.dumps(str(self._folder / f"state-{tier}")),
                    delay_ms=self._delays[tier],
                    compress=json.dumps(self._compress),
                    model=json.dumps(str(unsure(MODELS / tier, self._folder / tier))),
                )
                + above
            )
            program = Program(f"always-up-{tier}", ["-m", "upriver_agent", "--config", str(config)], self._folder)
            self._programs.append(program)
            self.address = program.wait_ready()["address"]
            above = _ABOVE.format(tier=tier, address=self.address)

    def stop(self) -> None:
        """Ends all."""
        end(self._programs)


def unsure(version: Path, copy: Path) -> Path:
    """A copy of a version that is never confident."""
    shutil.copytree(version, copy)
    manifest = copy / "manifest.toml"
    text, changed = re.subn(r"(?m)^threshold = .*$", "threshold = inf", manifest.read_text())
    if changed != 1:
        raise DemoFailed(f"{manifest} has {changed} thresholds; expected one")
    manifest.write_text(text)
    return copy
