"""`scripts/bench outage`: what callers notice while the tiers above the agent that they ask break, one after the other.

For each fault four real agents (device, far edge, near edge, cloud, with the demo's models) are started, and the device
is asked at a steady rate. Far edge, near edge and cloud are then broken in turn, each for a while, and left to recover:

    killed       kill -9, and started again
    frozen       SIGSTOP: it takes connections and does nothing
    slowed       everything takes 200 ms longer to get there
    flapping     half a second there, half a second gone with all connections reset
    partitioned  all its packets are dropped: network namespaces where root, else a relay that passes nothing on

A question is `late` when its deadline passed without an answer, `failed` when the call failed otherwise. `recovered_s`
is the longest time from the end of a fault to the first answer that came through the tier again. A ticket is lost when
the device does not know it any more, when the tiers above were not asked about it within a minute and a half after the
last fault, or when an unresolved answer came without one. `held_up_ms` is the longest that the benchmark itself was
kept from sending a question when it was due: where that is much every process waits for a processor, agents too.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.fleet_control import FleetFailed
from bench.network import Network, NetworkMissing
from bench.outage_faults import FAULTS, Fault, broken, cut_off
from bench.outage_mesh import TIERS, UPPER, Mesh, sleep_until
from bench.outage_tickets import lost
from bench.outage_traffic import Seen, Traffic
from bench.servers import ServerFailed
from bench.targets import tell
from demo.digits import DigitsMissing

LATE = "DEADLINE_EXCEEDED"
BROKEN_SHARE = 0.45
"""Of the time that each tier has; the rest is for recovering."""
SETTLE_S = 2.0
TICKETS_S = 90.0
"""So long after the traffic tickets may wait for an upstream before they count as lost."""


@dataclass(frozen=True)
class Sizes:
    """Seconds of traffic for each fault, questions a second, and the callers' deadline."""

    seconds: float
    per_second: float
    deadline_s: float


@dataclass(frozen=True)
class Figures:
    """What one fault did to callers; `recovered_s` is null when a tier did not come back within its time."""

    answered: int
    failed: int
    late: int
    degraded: int
    p99_ms: float
    recovered_s: float | None
    tickets_lost: int
    held_up_ms: float
    how: str


def measure(name: str, sizes: Sizes, preset: str) -> Figures:
    """Breaks every upper tier in one way, with traffic all the while."""
    with tempfile.TemporaryDirectory(prefix="upriver-outage-") as folder, ExitStack() as stack:
        fault, network, how = _means(name, stack)
        mesh = Mesh(Path(folder), preset, network)
        mesh.start(stack)
        traffic = stack.enter_context(Traffic(mesh.device, sizes.per_second, sizes.deadline_s))
        mended = dict(_break_in_turn(mesh, fault, sizes.seconds))
        seen = traffic.stop()
        tickets = {one.ticket for one in seen if one.ticket}
        missing = lost(mesh.device, tickets, TICKETS_S) + sum(one.unresolved and not one.ticket for one in seen)
        return summed_up(seen, mended, sizes.deadline_s, missing, how)


def _means(name: str, stack: ExitStack) -> tuple[Fault, Network | None, str]:
    """The fault, the network that it takes, and in words how it is made."""
    if name != "partitioned":
        return FAULTS[name], None, "process" if name in ("killed", "frozen") else "relay"
    try:
        network = stack.enter_context(Network(TIERS))
    except NetworkMissing as missing:
        print(f"bench: no network namespaces ({missing}); a relay passes nothing on instead", file=sys.stderr)
        return cut_off, None, "relay"
    return FAULTS[name], network, "network namespaces"


def _break_in_turn(mesh: Mesh, fault: Fault, seconds: float) -> Iterator[tuple[str, float]]:
    """Gives each upper tier, and when its fault was over."""
    began_s = time.monotonic()
    settle_s = min(SETTLE_S, seconds / 10)
    each_s = (seconds - settle_s) / len(UPPER)
    for number, tier in enumerate(UPPER):
        at_s = began_s + settle_s + number * each_s
        sleep_until(at_s)
        with broken(fault, mesh, tier):
            sleep_until(at_s + BROKEN_SHARE * each_s)
        yield mesh.agents[tier].name, time.monotonic()
        sleep_until(at_s + each_s)


def summed_up(
    seen: Sequence[Seen], mended: dict[str, float], deadline_s: float, tickets_lost: int, how: str
) -> Figures:
    """The figures; `mended` says of each agent when its fault was over."""
    answers = [one for one in seen if not one.error]
    late = sum(one.error == LATE for one in seen) + sum(one.ended_s > one.sent_s + deadline_s for one in answers)
    back = [_back_after(answers, agent, at_s) for agent, at_s in mended.items()]
    known = [one for one in back if one is not None]
    return Figures(
        answered=len(answers),
        failed=sum(one.error not in ("", LATE) for one in seen),
        late=late,
        degraded=sum(one.degraded for one in answers),
        p99_ms=round(float(np.percentile([one.took_s for one in answers], 99)) * 1000, 1) if answers else 0.0,
        recovered_s=round(max(known, default=0.0), 2) if len(known) == len(mended) else None,
        tickets_lost=tickets_lost,
        held_up_ms=round(max((one.sent_s - one.due_s for one in seen), default=0.0) * 1000, 1),
        how=how,
    )


def _back_after(answers: Sequence[Seen], agent: str, mended_s: float) -> float | None:
    """Seconds until an answer that was asked for after a fault came through the agent; None when none did."""
    found = [one.ended_s for one in answers if one.due_s >= mended_s and agent in one.path]
    return min(found) - mended_s if found else None


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench outage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--seconds", type=_positive, default=60.0, metavar="S", help="of traffic per fault (default 60)"
    )
    parser.add_argument("--per-second", type=_positive, default=40.0, metavar="N", help="questions (default 40)")
    parser.add_argument("--deadline", type=_positive, default=1.0, metavar="S", help="of every caller (default 1)")
    parser.add_argument("--preset", choices=("local", "lan", "wan"), default="lan", help="of the agents (default lan)")
    parser.add_argument("--faults", nargs="+", choices=tuple(FAULTS), default=list(FAULTS), help="default: all")
    options = parser.parse_args(arguments)
    console = Console()
    sizes = Sizes(options.seconds, options.per_second, options.deadline)
    results: dict[str, Figures] = {}
    try:
        for name in options.faults:
            console.print(f"{name}: {sizes.seconds:.0f} s", highlight=False)
            results[name] = measure(name, sizes, options.preset)
    except (DigitsMissing, FleetFailed, NetworkMissing, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    show(results, console)
    if options.json is not None:
        told = {name: asdict(figures) for name, figures in results.items()}
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    return 0


def show(results: dict[str, Figures], console: Console) -> None:
    """Prints the figures."""
    names = [name for name in Figures.__dataclass_fields__ if name != "how"]
    table = Table("fault", *names)
    for name, figures in results.items():
        table.add_row(name, *(str(getattr(figures, field)) for field in names))
    console.print(table)
    kept = ("failed", "late", "tickets_lost")
    told = [(f"{name}: {what}", getattr(found, what), 0) for name, found in results.items() for what in kept]
    tell(console, told, "d")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value
