"""`scripts/bench tracing`: what traces cost a local confident answer.

Five agents in interleaved rounds: one whose core has all of telemetry taken out; one that has all of it on, metrics
too, and keeps none of these questions; one that makes no spans, one that exports those of every question, and one that
would, to a collector that is gone. What telemetry costs is the ratio of the first two in the same round, the median of
the rounds.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.cases import Bench, Figures, Sizes, free_port
from bench.load import LoadFailed
from bench.servers import ServerFailed
from bench.serving import Results, summed_up
from bench.targets import tell

FIGURES = ("cpu_us", "p50_us", "p99_us", "rss_mb")
MAX_RATIO: Final = 1.03
BARE, UNSAMPLED = "taken_out", "unsampled"


def run(sizes: Sizes) -> tuple[Results, list[float]]:
    """Measures the agents in interleaved rounds; also gives each round's CPU with telemetry over that without."""
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        collectors = {
            "no_spans": None,
            "every_question": bench.collector(),
            "dead_collector": f"127.0.0.1:{free_port()}",
        }
        assert collectors["every_question"] is not None  # noqa: S101 - made above
        cases = [bench.bare(BARE), bench.unsampled(UNSAMPLED, collectors["every_question"])]
        cases += [bench.traced(name, collector) for name, collector in collectors.items()]
        seen: dict[str, list[Figures]] = {case.name: [] for case in cases}
        for number in range(sizes.rounds):
            for case in cases if number % 2 else [cases[1], cases[0], *cases[2:]]:
                seen[case.name].append(case.measure(sizes))
        ratios = [on["cpu_us"] / out["cpu_us"] for on, out in zip(seen[UNSAMPLED], seen[BARE], strict=True)]
        return {name: summed_up(rounds) for name, rounds in seen.items()}, ratios


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench tracing", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="interleaved rounds (default 9)")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        results, ratios = run(Sizes(options.rounds, 6000, 1500))
    except (LoadFailed, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    table = Table("agent", *FIGURES, title="one confident local answer; medians of the rounds")
    for name, figures in results.items():
        table.add_row(name, *(f"{figures[figure]:,.1f}" for figure in FIGURES))
    console.print(table)
    ratio = statistics.median(ratios)
    tell(console, [("CPU of an unsampled answer, to that without any telemetry", ratio, MAX_RATIO)], ".3f")
    console.print(f"rounds: {', '.join(f'{one:.3f}' for one in sorted(ratios))}", highlight=False)
    if options.json is not None:
        told = {**results, "telemetry_ratio": ratio, "telemetry_ratios": ratios}
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    return 0
