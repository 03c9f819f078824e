"""`scripts/bench fleet`: what many agents cost a control plane, and how fast they hear of what they are to run.

A real control plane (SQLite, tokens, signatures, everything at its defaults) and N simulated agents: real Sync streams,
each on a connection of its own, in several processes, without models. They

1. attach, all dialling at once,
2. idle, reporting at the rhythm that they are told,
3. get a new assignment twice: a version to 100 % in one ring, then the same version with another policy,
4. lose the control plane (kill -9) and come back, each in its own time, when it runs again; meanwhile somebody asks for
   a rollout ten times a second.

Agents and control plane share the machine, so times are those of both together; CPU and memory are the control plane's.
Run it on a quiet machine, with different N, to see how cost grows:

    for n in 100 1000 5000; do scripts/bench fleet --agents $n --json fleet-$n.json; done
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.cases import MODEL
from bench.fleet_control import ControlPlane, FleetFailed, Operator, Probe
from bench.fleet_processes import Agents, State, raise_file_limit
from bench.servers import ServerFailed
from bench.targets import tell
from upriver.v1 import rollout_pb2

VERSION = "models/s/versions/1"
OTHER_POLICY = '{"threshold": 0.5}'
ARRIVALS_S = 120.0
"""How long attaching may take, and a thousandth of it more for each agent."""
PUSH_S = 120.0
SETTLE_S = 5.0
"""Before idling is measured: reports are spread, what was written is committed."""
LEAST_IDLE_S = 20.0


@dataclass(frozen=True)
class Figures:
    """What is told as JSON. Times of the push are from the operator's call to each agent's receipt."""

    agents: int
    attach_s: float
    push_ms: dict[str, float]
    push_again_ms: dict[str, float]
    rollout_s: float
    push_cpu_us_per_agent: float
    rss_kb_per_agent: float
    idle_cpu_us_per_agent_s: float
    reconnect_s: float
    reconnect_each_s: dict[str, float]
    operator_ms: dict[str, float]
    reconnect_dials: int
    reconnect_turned_away: int
    control_cpu_s: float
    control_rss_mb: float
    agents_cpu_s: float
    processes: int
    idle_s: float
    load_before: float


class Run:
    """One run through all phases."""

    def __init__(self, plane: ControlPlane, agents: Agents, progress: Progress) -> None:
        self._plane = plane
        self._agents = agents
        self._progress = progress
        self._n = agents.agents
        self._bound_s = ARRIVALS_S * (1 + self._n / 1000)

    def __call__(self, idle_s: float) -> Figures:
        """Measures everything; raises FleetFailed and ServerFailed."""
        load = os.getloadavg()[0]
        self._plane.start()
        self._plane.upriver("model", "publish", str(MODEL))
        self._agents.start(self._plane.address, self._plane.join_token)
        empty_kb = self._plane.rss_kb()
        attach_s = self._attach()
        idle_us = self._idle(idle_s)
        full_kb = self._plane.rss_kb()
        with self._plane.operator() as operator:
            spent_s = self._plane.cpu_s()
            push, rollout_s, _ = self._push(operator, "")
            spent_s = self._plane.cpu_s() - spent_s
            again, _, name = self._push(operator, OTHER_POLICY)
        before = self._agents.state()
        reconnect_s, probe, after = self._reconnect(name)
        return Figures(
            agents=self._n,
            attach_s=round(attach_s, 2),
            push_ms=push,
            push_again_ms=again,
            rollout_s=round(rollout_s, 2),
            push_cpu_us_per_agent=round(spent_s / self._n * 1e6, 1),
            rss_kb_per_agent=round((full_kb - empty_kb) / self._n, 1),
            idle_cpu_us_per_agent_s=round(idle_us, 1),
            reconnect_s=round(reconnect_s, 2),
            reconnect_each_s=percentiles([at - self._plane.ready_at for at in self._agents.arrivals()[-self._n :]], 2),
            operator_ms=percentiles(probe.took_ms),
            reconnect_dials=after.dials - before.dials,
            reconnect_turned_away=after.turned_away - before.turned_away,
            control_cpu_s=round(self._plane.cpu_s(), 2),
            control_rss_mb=round(full_kb / 1e3, 1),
            agents_cpu_s=round(after.cpu_s, 2),
            processes=self._agents.processes,
            idle_s=idle_s,
            load_before=round(load, 2),
        )

    def _attach(self) -> float:
        began = self._agents.go()
        state = self._attached("attaching")
        with self._plane.operator() as operator:
            told = operator.connected()
        if told != self._n:
            raise FleetFailed(f"the control plane says that {told} of {self._n} agents are connected")
        return state.attached_at - began

    def _idle(self, idle_s: float) -> float:
        """CPU of the control plane per agent and second, µs."""
        settle_s = min(SETTLE_S, idle_s)
        task = self._progress.add_task("settling", total=settle_s)
        self._sleep(task, settle_s)
        self._progress.update(task, description="idling", total=idle_s, completed=0)
        began, before = time.monotonic(), self._plane.cpu_s()
        self._sleep(task, idle_s)
        spent, took = self._plane.cpu_s() - before, time.monotonic() - began
        self._progress.remove_task(task)
        return spent / took / self._n * 1e6

    def _push(self, operator: Operator, overrides: str) -> tuple[dict[str, float], float, str]:
        """Milliseconds until agents had their assignment, seconds until the rollout had ended, and its name."""
        task = self._progress.add_task("pushing", total=self._n)
        began = time.monotonic()
        name = operator.start(VERSION, overrides)
        deadline = began + PUSH_S
        while len(received := self._agents.received(name)) < self._n:
            self._progress.update(task, completed=len(received))
            if time.monotonic() > deadline:
                raise FleetFailed(f"{len(received)} of {self._n} agents got their assignment in {PUSH_S:.0f} s")
            time.sleep(0.2)
        self._progress.update(task, description="waiting for the rollout's end", completed=self._n)
        while (rollout := operator.rollout(name)).state != rollout_pb2.ROLLOUT_STATE_COMPLETED:
            if time.monotonic() > deadline or rollout.HasField("end_time"):
                raise FleetFailed(f"{name} has not completed after {PUSH_S:.0f} s: {rollout.reason or rollout.rings}")
            time.sleep(0.1)
        ended = time.monotonic()
        self._progress.remove_task(task)
        state = self._agents.state()
        if len(received) != self._n or state.refused:
            raise FleetFailed(f"{len(received)} assignments came to {self._n} agents, {state.refused} were refused")
        return percentiles([(at - began) * 1e3 for at in received]), ended - began, name

    def _reconnect(self, rollout: str) -> tuple[float, Probe, State]:
        """Seconds from the restarted control plane's being ready to all agents' being attached."""
        self._plane.kill()
        self._agents.wait(lambda state: state.attached == 0, "agents notice that the control plane is gone", 30.0)
        self._plane.start()
        with self._plane.operator() as operator, Probe(operator, rollout) as probe:
            state = self._attached("reconnecting")
            told = operator.connected()
        if told != self._n or probe.trouble:
            raise FleetFailed(probe.trouble or f"the control plane says that {told} of {self._n} agents are connected")
        return state.attached_at - self._plane.ready_at, probe, state

    def _attached(self, what: str) -> State:
        task = self._progress.add_task(what, total=self._n)
        state = self._agents.wait(
            lambda state: state.attached >= self._n,
            what,
            self._bound_s,
            lambda state: self._progress.update(task, completed=state.attached),
        )
        self._progress.remove_task(task)
        return state

    def _sleep(self, task: TaskID, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(0.5, left))
            self._progress.update(task, completed=seconds - left)


def percentiles(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """p50, p99 (nearest rank) and max."""
    ordered = sorted(values) or [0.0]
    ranks = {"p50": 50, "p99": 99, "max": 100}
    return {name: round(ordered[-(-percent * len(ordered) // 100) - 1], digits) for name, percent in ranks.items()}


def targets(figures: Figures) -> list[tuple[str, float, float]]:
    """Each target: what, measured, at most."""
    told = [("RSS of the control plane per agent, KB", figures.rss_kb_per_agent, 120.0)]
    if figures.agents <= 5000:
        most_ms = 1000.0 if figures.agents <= 1000 else 5000.0
        told.insert(0, (f"push to {figures.agents:,} agents, p99 ms", figures.push_ms["p99"], most_ms))
    return told


def show(figures: Figures, console: Console) -> None:
    """Prints the figures and how they stand against the targets."""
    table = Table("", "", title=f"{figures.agents:,} agents")
    for name, value in asdict(figures).items():
        shown = (
            ", ".join(f"{key} {one:,.1f}" for key, one in value.items()) if isinstance(value, dict) else f"{value:,}"
        )
        table.add_row(name, shown)
    console.print(table)
    tell(console, targets(figures), ",.1f")


def run(agents: int, processes: int, idle_s: float, settings: str, console: Console) -> Figures:
    """Runs all phases; raises FleetFailed and ServerFailed."""
    raise_file_limit(agents)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        plane = ControlPlane(Path(folder), settings)
        stack.callback(plane.stop)
        fleet = Agents(agents, processes, Path(folder) / "agents.log")
        stack.callback(fleet.stop)
        return Run(plane, fleet, stack.enter_context(Progress(*columns, console=console, transient=True)))(idle_s)


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=_at_least(1), default=1000, metavar="N", help="how many (default 1000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--processes", type=_at_least(0), default=0, metavar="N", help="that agents live in (default: as many as fit)"
    )
    parser.add_argument(
        "--idle", type=float, default=LEAST_IDLE_S, metavar="SECONDS", help="how long CPU is taken (default 20)"
    )
    parser.add_argument(
        "--arrivals", type=float, metavar="RATE", help="the control plane's server.arrivals_per_s (default: its own)"
    )
    options = parser.parse_args(arguments)
    settings = f"max_agents = {max(20_000, options.agents)}"
    if options.arrivals is not None:
        settings += f"\narrivals_per_s = {options.arrivals}"
    console = Console(stderr=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes are ended too
    try:
        figures = run(options.agents, options.processes, options.idle, settings, console)
    except (FleetFailed, ServerFailed, OSError, grpc.RpcError) as error:
        console.print(f"bench: {error}", style="red", highlight=False, markup=False)
        return 1
    show(figures, Console())
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    return 0


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value}: expected {least} or more")
        return value

    return number
