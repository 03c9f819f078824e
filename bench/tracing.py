"""`scripts/bench tracing`: what traces cost a local confident answer.

Three agents in interleaved rounds: one that makes no spans, one that exports those of every question, and one that
would, to a collector that is gone.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.cases import Bench, Figures, Sizes, free_port
from bench.load import LoadFailed
from bench.servers import ServerFailed
from bench.serving import Results, summed_up

FIGURES = ("cpu_us", "p50_us", "p99_us", "rss_mb")


def run(sizes: Sizes) -> Results:
    """Measures the agents in interleaved rounds."""
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        collectors = {
            "no_spans": None,
            "every_question": bench.collector(),
            "dead_collector": f"127.0.0.1:{free_port()}",
        }
        cases = [bench.traced(name, collector) for name, collector in collectors.items()]
        seen: dict[str, list[Figures]] = {case.name: [] for case in cases}
        for _ in range(sizes.rounds):
            for case in cases:
                seen[case.name].append(case.measure(sizes))
        return {name: summed_up(rounds) for name, rounds in seen.items()}


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench tracing", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="interleaved rounds (default 5)")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        results = run(Sizes(options.rounds, 6000, 1500))
    except (LoadFailed, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    table = Table("agent", *FIGURES, title="one confident local answer; medians of the rounds")
    for name, figures in results.items():
        table.add_row(name, *(f"{figures[figure]:,.1f}" for figure in FIGURES))
    console.print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0
