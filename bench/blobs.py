"""`scripts/bench blobs`: what leaves the control plane when a large version goes to a tree of agents.

A real control plane and real agents, all processes of this machine: a cloud, two near edges, five far edges and twelve
devices, each of which asks those above it and the control plane last. A version of 50 MB of noise goes to all of them
at once; then the same version with its last 50 KB changed, as a change of the head is, which travels as a delta.

Bytes are of blobs, as the control plane counts what it sends and as agents report what they have received. Twenty
agents hash, verify and swap on the same cores, so seconds are those of all of that together.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.cases import MODEL
from bench.fleet_control import ControlPlane, FleetFailed, Operator, environment
from bench.servers import Server, ServerFailed
from bench.targets import tell
from upriver.v1 import fleet_pb2, rollout_pb2, sync_pb2

LADDER = ("device", "far-edge", "near-edge", "cloud")
TREE: Mapping[str, int] = {"cloud": 1, "near-edge": 2, "far-edge": 5, "device": 12}
SMALL_TREE: Mapping[str, int] = {"cloud": 1, "near-edge": 1, "far-edge": 1, "device": 2}
MB = 1_000_000
SETTLE_S = 3.0
"""After the last agent has connected, all are told who is above them within half a second."""
ROLLOUT_S = 600.0
_SENT = re.compile(r"sent (\d+) bytes of (sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Travel:
    """One version's way to everybody: seconds until all have its files, and until all answer with it.

    `control_plane_bytes` is its own count, `told_*` are the agents'.
    """

    fetched_s: float
    seconds: float
    control_plane_bytes: int
    largest_blob_sent: int
    told_from_control_plane: int
    told_from_agents: int
    told_saved_by_deltas: int


@dataclass(frozen=True)
class Figures:
    """What is told as JSON."""

    agents: int
    without_agent_above: int
    below_those: int
    size_bytes: int
    head_bytes: int
    publish_s: float
    whole: Travel
    head: Travel
    rss_mb_agents: float
    load_before: float


class Run:
    """One control plane with its agents."""

    def __init__(self, folder: Path, tree: Mapping[str, int], stack: ExitStack) -> None:
        self._folder = folder
        self._tree = tree
        self._stack = stack
        self._plane = ControlPlane(folder, log_level="debug")
        stack.callback(self._plane.stop)
        self._agents: list[Server] = []
        self._read = 0

    def __call__(self, size_bytes: int, head_bytes: int, console: Console) -> Figures:
        """Measures both ways; raises FleetFailed and ServerFailed."""
        load = os.getloadavg()[0]
        self._plane.start()
        with console.status("starting the agents") as status, self._plane.operator() as operator:
            self._start_agents(operator)
            status.update("publishing")
            publish_s = self._publish(make_version(self._folder, "1", size_bytes, head_bytes))
            self._publish(make_version(self._folder, "2", size_bytes, head_bytes))
            status.update("the whole version goes to everybody")
            whole = self._roll_out(operator, "1")
            rss_mb = sum(agent.rss_mb() for agent in self._agents)
            status.update("another head goes to everybody")
            head = self._roll_out(operator, "2")
        near = next((self._tree[tier] for tier in reversed(LADDER[:-1]) if tier in self._tree), 0)
        return Figures(
            agents=sum(self._tree.values()),
            without_agent_above=self._tree[LADDER[-1]],
            below_those=near,
            size_bytes=(self._folder / "version-1" / "model.tflite").stat().st_size,
            head_bytes=head_bytes,
            publish_s=round(publish_s, 2),
            whole=whole,
            head=head,
            rss_mb_agents=round(rss_mb, 1),
            load_before=round(load, 2),
        )

    def _start_agents(self, operator: Operator) -> None:
        join = self._plane.join_text()
        names = [(f"{tier}-{number}", tier) for tier, count in self._tree.items() for number in range(count)]
        started = [(self._start_agent(name, tier, join), self._folder / f"{name}.ready") for name, tier in names]
        for agent, ready in started:
            agent.wait(ready.exists)
        _wait(lambda: operator.connected() == len(names), 60.0, "all agents are connected")
        time.sleep(SETTLE_S)

    def _start_agent(self, name: str, tier: str, join: str) -> Server:
        config = self._folder / f"{name}.toml"
        config.write_text(
            f'[agent]\nid = "{name}"\ntier = "{tier}"\ntiers = {json.dumps(LADDER)}\nlisten = "127.0.0.1:0"\n'
            f'state_dir = "{self._folder / name}"\n[cascade]\ntrust = "network"\n[control_plane]\njoin = "{join}"\n'
            '[discovery]\nkind = "control-plane"\n[log]\nlevel = "warning"\n'
        )
        command = [sys.executable, "-m", "upriver_agent", "--config", str(config)]
        command += ["--ready-file", str(self._folder / f"{name}.ready")]
        agent = Server(name, command, self._folder / f"{name}.log", environment())
        self._stack.callback(agent.stop)
        self._agents.append(agent)
        return agent

    def _publish(self, version: Path) -> float:
        began = time.monotonic()
        self._plane.upriver("model", "publish", str(version))
        return time.monotonic() - began

    def _roll_out(self, operator: Operator, version: str) -> Travel:
        before, began = _told(operator), time.monotonic()
        self._sent()
        name = operator.start(f"models/s/versions/{version}")
        fetched_s = 0.0
        while (rollout := operator.rollout(name)).state != rollout_pb2.ROLLOUT_STATE_COMPLETED:
            if rollout.HasField("end_time") or time.monotonic() - began > ROLLOUT_S:
                raise FleetFailed(f"{name} has not completed: {rollout.reason or rollout.rings}")
            if not fetched_s and all(_has_files(agent, version) for agent in operator.agents()):
                fetched_s = time.monotonic() - began
            time.sleep(0.1)
        seconds = time.monotonic() - began
        sent, after = self._sent(), _told(operator)
        return Travel(
            round(fetched_s or seconds, 1),
            round(seconds, 1),
            sum(sent.values()),
            max(sent.values(), default=0),
            *(now - then for now, then in zip(after, before, strict=True)),
        )

    def _sent(self) -> dict[str, int]:
        """Bytes by digest that the control plane has sent since the last call."""
        with self._plane.log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
            self._read = log.tell()
        sent: dict[str, int] = {}
        for count, digest in _SENT.findall(text.decode("utf-8", "replace")):
            sent[digest] = sent.get(digest, 0) + int(count)
        return sent


def make_version(folder: Path, version: str, size_bytes: int, head_bytes: int) -> Path:
    """The benchmark's model with noise behind it, which no runtime reads; the last bytes are each version's own."""
    made = folder / f"version-{version}"
    made.mkdir()
    manifest = (MODEL / "manifest.toml").read_text()
    (made / "manifest.toml").write_text(manifest.replace('version = "1"', f'version = "{version}"'))
    shutil.copy(MODEL / "model.tflite", made)
    noise = np.random.default_rng(9).bytes(size_bytes - (made / "model.tflite").stat().st_size - head_bytes)
    head = np.random.default_rng(int(version)).bytes(head_bytes)
    with (made / "model.tflite").open("ab") as file:
        file.write(noise + head)
    return made


def _has_files(agent: fleet_pb2.Agent, version: str) -> bool:
    """Whether an agent has fetched a version, however far it has come since."""
    return any(
        pair.version.endswith(f"/{version}")
        for slot in agent.slots
        for pair in (slot.reported.active, slot.reported.candidate)
        if slot.reported.state not in (sync_pb2.SLOT_STATE_STAGING, sync_pb2.SLOT_STATE_FAILED)
    )


def _told(operator: Operator) -> tuple[int, int, int]:
    """What all agents say they have received: from the control plane, from agents, and what deltas saved."""
    agents = list(operator.agents())
    return (
        sum(agent.fetched_control_plane_bytes for agent in agents),
        sum(agent.fetched_agent_bytes for agent in agents),
        sum(agent.delta_saved_bytes for agent in agents),
    )


def _wait(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    ends = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > ends:
            raise FleetFailed(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.1)


def targets(figures: Figures) -> list[tuple[str, float, float]]:
    """Each target: what, measured, at most."""
    size = figures.size_bytes
    return [
        ("whole: copies from the control plane, near edges", figures.whole.largest_blob_sent / size,
         figures.below_those),
        ("whole: the same, agents with none above", figures.whole.largest_blob_sent / size,
         figures.without_agent_above),
        ("head: bytes from the control plane / size", figures.head.control_plane_bytes / size, 0.03),
    ]  # fmt: skip


def show(figures: Figures, console: Console) -> None:
    """Prints the figures and how they stand against the targets."""
    everything = figures.agents * figures.size_bytes
    table = Table("", "whole", "head only", title=f"{figures.agents} agents, {figures.size_bytes / MB:,.1f} MB")
    ways = (figures.whole, figures.head)
    for name in asdict(figures.whole):
        values = [getattr(way, name) for way in ways]
        table.add_row(name, *(f"{value:,}" for value in values))
    shares = [way.control_plane_bytes / everything for way in ways]
    table.add_row(f"of {figures.agents} x size", *(f"{share:.2%}" for share in shares))
    console.print(table)
    console.print(f"publishing took {figures.publish_s:.1f} s", highlight=False)
    tell(console, targets(figures), ".4g")


def run(tree: Mapping[str, int], size_bytes: int, head_bytes: int, console: Console) -> Figures:
    """Runs it; raises FleetFailed and ServerFailed."""
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        try:
            return Run(Path(folder), tree, stack)(size_bytes, head_bytes, console)
        except grpc.RpcError as error:
            told = [line for line in (Path(folder) / "log").read_text().splitlines() if " DEBUG " not in line]
            raise FleetFailed(f"{error}; the control plane's log ends: {' | '.join(told[-5:])}") from error


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench blobs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--size", type=float, default=50.0, metavar="MB", help="of the version (default 50)")
    parser.add_argument("--head", type=float, default=0.05, metavar="MB", help="of the change (default 0.05)")
    parser.add_argument("--quick", action="store_true", help="five agents and 2 MB, to see that it runs")
    options = parser.parse_args(arguments)
    tree, size_mb = (SMALL_TREE, 2.0) if options.quick else (TREE, options.size)
    console = Console(stderr=True)
    try:
        figures = run(tree, round(size_mb * MB), round(options.head * MB), console)
    except (FleetFailed, ServerFailed, OSError) as error:
        console.print(f"bench: {error}", style="red", highlight=False, markup=False)
        return 1
    show(figures, Console())
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    return 0
