"""`scripts/bench swap`: what callers notice of a rollout, and how fast a bad version is taken back.

A real control plane and real agents on this machine, and clients that ask at a steady rate all the time.

1. Swaps: one agent gets a version that it never had (fetched, verified in a child process, warmed, activated), again
   and again, and then goes back and forth between two (the one before is still loaded). Told is the p99 of requests
   that were due in quiet seconds, and while a swap was under way: from the operator's call until the rollout is
   completed, and a quarter of a second more.
2. Taking back: three agents of four move to a version that escalates everything, which a gate forbids. Told is the time
   from the rollout's turning `rolling-back`, as an operator who watches it sees it, to the last answer of the bad
   version. How long a breach takes to be noticed is in how long the bad version answered.

Control plane, agents and clients share the machine: run it on a quiet one.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from rich.console import Console
from rich.table import Table

from bench.cases import MODEL, answer, request
from bench.fleet_control import ControlPlane, FleetFailed, environment
from bench.servers import Server, ServerFailed
from bench.steady import Order, Seen, Steady
from bench.targets import tell
from upriver.oip.v2 import inference_pb2 as pb
from upriver.services import Stub
from upriver.tensors import Array
from upriver.v1 import rollout_pb2

ROLLOUTS = rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"]
AFTER_S = 0.25
CALL_S = 60.0
MOVED = 3
PER_SECOND = 300.0
SURE, NEVER_SURE = 0.0, 2.0


@dataclass(frozen=True)
class Sizes:
    """How many swaps to versions that are new, how many back and forth, how many rollbacks; quiet seconds between."""

    fresh: int
    back: int
    rollbacks: int
    quiet_s: float
    pad_mib: int


@dataclass(frozen=True)
class Figures:
    """What is told as JSON."""

    requests: int
    failed: int
    quiet_p50_ms: float
    quiet_p99_ms: float
    fresh_p50_ms: float
    fresh_p99_ms: float
    fresh_worst_ms: float
    back_p99_ms: float
    back_worst_ms: float
    fresh_ratio: float
    back_ratio: float
    fresh_s: list[float]
    back_s: list[float]
    rollback_s: list[float]
    bad_for_s: list[float]
    rollback_failed: int
    load_before: float


class Operator:
    """Rollouts, started and watched."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._stub = Stub(channel, ROLLOUTS)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def start(self, version: str, selector: str = "", strategy: rollout_pb2.Strategy | None = None) -> str:
        """Starts a rollout, to all at once if nothing else is said, and gives its name."""
        everywhere = rollout_pb2.Strategy(rings=[rollout_pb2.Ring(percent=100.0)], soak_time=Duration())
        asked = rollout_pb2.CreateRolloutRequest(
            version=f"models/s/versions/{version}", selector=selector, strategy=strategy or everywhere
        )
        return str(self._stub.CreateRollout(asked, timeout=CALL_S, metadata=self._metadata).rollout.name)

    def until(self, name: str, state: "rollout_pb2.RolloutState") -> float:
        """Watches a rollout until it is in a state; gives when that was seen (CLOCK_MONOTONIC)."""
        asked = rollout_pb2.WatchRolloutRequest(name=name)
        for told in self._stub.WatchRollout(asked, timeout=CALL_S, metadata=self._metadata):
            if told.rollout.state == state:
                return time.monotonic()
        raise FleetFailed(f"{name} never was {rollout_pb2.RolloutState.Name(state)}")


class Bench:
    """The processes, in a folder; ended with the stack."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.plane = ControlPlane(folder)
        self.plane.start()
        stack.callback(self.plane.stop)
        self.join = json.loads((folder / "ready").read_text())["join"]

    def operator(self) -> Operator:
        """Somebody who starts rollouts."""
        channel = self._stack.enter_context(grpc.insecure_channel(self.plane.address))
        return Operator(channel, (self._folder / "state" / "operator-token").read_text().strip())

    def publish(self, version: str, threshold: float, pad_mib: int = 0, seed: int = 0) -> None:
        """Publishes model S under another name; bytes behind it make it longer to fetch and no slower."""
        made = self._folder / version
        shutil.copytree(MODEL, made)
        manifest = made / "manifest.toml"
        text = manifest.read_text().replace('version = "1"', f'version = "{version}"')
        manifest.write_text(text.replace("threshold = 0.0", f"threshold = {threshold}"))
        with (made / "model.tflite").open("ab") as file:
            file.write(np.random.default_rng(seed).bytes(pad_mib << 20))
        self.plane.upriver("model", "publish", str(made))

    def agent(self, name: str, tier: str) -> str:
        """Starts an agent and gives its address."""
        config, ready = self._folder / f"{name}.toml", self._folder / f"{name}.ready"
        config.write_text(
            f'[agent]\nid = "{name}"\ntier = "{tier}"\ntiers = ["device", "cloud"]\nlisten = "127.0.0.1:0"\n'
            f'state_dir = "{self._folder / name}.state"\n[cascade]\ntrust = "network"\n'
            f'[control_plane]\njoin = "{self.join}"\n[discovery]\nkind = "control-plane"\n[log]\nlevel = "warning"\n'
        )
        command = [sys.executable, "-m", "upriver_agent", "--config", str(config), "--ready-file", str(ready)]
        server = Server(name, command, self._folder / f"{name}.log", environment())
        self._stack.callback(server.stop)
        server.wait(ready.exists)
        return str(json.loads(ready.read_text())["address"])

    def ask(self, address: str, per_second: float, connections: int) -> Steady:
        """Starts a client."""
        file = self._folder / f"{address.rpartition(':')[2]}.npz"
        return self._stack.enter_context(Steady(Order(address, per_second, connections, str(file))))


def wait_for(done: Callable[[], bool], what: str) -> None:
    """Looks every 20 ms; raises FleetFailed after a minute."""
    deadline = time.monotonic() + CALL_S
    while not done():
        if time.monotonic() > deadline:
            raise FleetFailed(f"{what}: not within {CALL_S:.0f} s")
        time.sleep(0.02)


def version_at(address: str) -> str:
    """The version that answers; empty for none."""
    raw = answer(address, request())
    return "" if raw is None else str(pb.ModelInferResponse.FromString(raw).model_version)


Span = tuple[float, float]


def swaps(bench: Bench, operator: Operator, sizes: Sizes) -> tuple[Seen, list[Span], list[Span], list[Span]]:
    """What the client saw, and when it was quiet, when new versions came, and when known ones did."""
    address = bench.agent("alone", "device")
    names = [f"v{number}" for number in range(sizes.fresh + 1)]
    for seed, name in enumerate(names):
        bench.publish(name, SURE, sizes.pad_mib, seed)
    operator.start(names[0], "agent=alone")
    wait_for(lambda: version_at(address) == names[0], "the first version")
    quiet: list[Span] = []

    def swap(to: str) -> Span:
        began = time.monotonic()
        time.sleep(sizes.quiet_s)
        start = time.monotonic()
        quiet.append((began, start))
        name = operator.start(to, "agent=alone")
        operator.until(name, rollout_pb2.ROLLOUT_STATE_COMPLETED)
        end = time.monotonic() + AFTER_S
        time.sleep(2 * AFTER_S)
        return start, end

    client = bench.ask(address, PER_SECOND, 4)
    time.sleep(2.0)
    fresh = [swap(name) for name in names[1:]]
    back = [swap(names[-2 + number % 2]) for number in range(sizes.back)]
    return client.seen(), quiet, fresh, back


def rollbacks(bench: Bench, operator: Operator, sizes: Sizes) -> tuple[list[float], list[float], int]:
    """For each: seconds from its being seen to the last bad answer, and how long bad ones came; failed requests."""
    top = bench.agent("top", "cloud")
    addresses = [bench.agent(f"device-{number}", "device") for number in range(MOVED + 1)]
    for name, threshold in (("good", SURE), ("bad", NEVER_SURE)):
        bench.publish(name, threshold)
    operator.start("good", "agent!=alone")
    wait_for(lambda: all(version_at(address) == "good" for address in (top, *addresses)), "the good version")
    strategy = rollout_pb2.Strategy(
        rings=[rollout_pb2.Ring(count=MOVED), rollout_pb2.Ring(percent=100.0)],
        soak_time=Duration(seconds=60),
        failure_limit=1.0,
        min_sample=50,
        progress_deadline=Duration(seconds=60),
        gates=rollout_pb2.Gates(max_escalation_increase=0.1),
    )
    clients = [bench.ask(address, 50.0, 1) for address in addresses]
    seen_at = []
    for _ in range(sizes.rollbacks):
        time.sleep(2.0)
        name = operator.start("bad", "tier=device,agent!=alone", strategy)
        seen_at.append(operator.until(name, rollout_pb2.ROLLOUT_STATE_ROLLING_BACK))
        operator.until(name, rollout_pb2.ROLLOUT_STATE_ROLLED_BACK)
        time.sleep(1.0)
    found = [client.seen() for client in clients]
    bad = np.sort(np.concatenate([seen.due[seen.version == "bad"] for seen in found]))
    bounds = [*seen_at[1:], np.inf]
    took, lasted, before = [], [], -np.inf
    for at, after in zip(seen_at, bounds, strict=True):
        # A later rollout's bad answers come after its start: more than a second after this one's end.
        mine = bad[(bad > before) & (bad < (at + after) / 2 if after != np.inf else bad < np.inf)]
        took.append(max(0.0, float(mine[-1]) - at))
        lasted.append(float(mine[-1] - mine[0]))
        before = float(mine[-1])
    return took, lasted, sum(seen.failed for seen in found)


def within(seen: Seen, spans: Sequence[Span]) -> Array:
    """Milliseconds of the requests that were due in some spans of time."""
    chosen = np.zeros(len(seen.due), bool)
    for start, end in spans:
        chosen |= (seen.due >= start) & (seen.due < end)
    return seen.took[chosen] * 1e3


def run(sizes: Sizes, console: Console) -> Figures:
    """Measures everything; raises FleetFailed and ServerFailed."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        with console.status("starting"):
            bench = Bench(Path(folder), stack)
            operator = bench.operator()
        with console.status("swapping"):
            seen, quiet, fresh, back = swaps(bench, operator, sizes)
        with console.status("taking back"):
            took, lasted, lost = rollbacks(bench, operator, sizes)
    still, new, known = (within(seen, spans) for spans in (quiet, fresh, back))
    p99 = float(np.percentile(still, 99))
    return Figures(
        requests=len(seen.due),
        failed=seen.failed,
        quiet_p50_ms=float(np.percentile(still, 50)),
        quiet_p99_ms=p99,
        fresh_p50_ms=float(np.percentile(new, 50)),
        fresh_p99_ms=float(np.percentile(new, 99)),
        fresh_worst_ms=float(new.max()),
        back_p99_ms=float(np.percentile(known, 99)),
        back_worst_ms=float(known.max()),
        fresh_ratio=float(np.percentile(new, 99)) / p99,
        back_ratio=float(np.percentile(known, 99)) / p99,
        fresh_s=[end - start - AFTER_S for start, end in fresh],
        back_s=[end - start - AFTER_S for start, end in back],
        rollback_s=took,
        bad_for_s=lasted,
        rollback_failed=lost,
        load_before=load_before,
    )


def targets(figures: Figures) -> list[tuple[str, float, float]]:
    """Each target: what, measured, at most."""
    return [
        ("p99 while a new version comes / quiet p99", figures.fresh_ratio, 2.0),
        ("p99 while a known version comes / quiet p99", figures.back_ratio, 2.0),
        ("failed requests", float(figures.failed + figures.rollback_failed), 0.0),
        ("slowest rollback, s", max(figures.rollback_s), 5.0),
    ]


def show(figures: Figures, console: Console) -> None:
    """Prints the figures and how they stand against the targets."""
    table = Table("", "p50 ms", "p99 ms", "worst ms", title=f"{figures.requests:,} requests, {PER_SECOND:.0f} a second")
    table.add_row("quiet", f"{figures.quiet_p50_ms:.2f}", f"{figures.quiet_p99_ms:.2f}", "")
    table.add_row(
        "a new version comes",
        f"{figures.fresh_p50_ms:.2f}", f"{figures.fresh_p99_ms:.2f}", f"{figures.fresh_worst_ms:.2f}",
    )  # fmt: skip
    table.add_row("a known version comes", "", f"{figures.back_p99_ms:.2f}", f"{figures.back_worst_ms:.2f}")
    console.print(table)
    console.print(
        f"from the operator's call to the completed rollout: {np.median(figures.fresh_s):.2f} s for a new version, "
        f"{np.median(figures.back_s):.2f} s for a known one; "
        f"a bad one answered for {np.median(figures.bad_for_s):.1f} s"
    )
    tell(console, targets(figures))


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench swap", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    options = parser.parse_args(arguments)
    sizes = Sizes(2, 2, 1, 1.0, 1) if options.quick else Sizes(10, 10, 5, 4.0, 4)
    console = Console()
    try:
        figures = run(sizes, console)
    except (FleetFailed, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    show(figures, console)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    return 0
