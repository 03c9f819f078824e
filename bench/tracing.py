"""`scripts/bench tracing`: what traces and metrics cost a local confident answer.

What telemetry costs an answer whose spans nobody keeps is the ratio of what the answer takes of the processor: with all
of it on, metrics too, to that with all of it taken out of the core. Both cores are in one process, which has a
processor to itself, and answer in many short turns: all that makes single measurements differ by more than is looked
for. What still does is told as bounds of the ratio.
Beside that, agents in interleaved rounds: one that makes no spans, one that exports those of every question, and one
that would, to a collector that is gone.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.cases import Bench, Case, Figures, Sizes, free_port
from bench.load import LoadFailed
from bench.servers import ServerFailed, bound
from bench.serving import Results, summed_up
from bench.targets import tell

FIGURES = ("cpu_us", "p50_us", "p99_us", "rss_mb")
MAX_RATIO: Final = 1.03
_CALLS: Final = 1000
"""Of a turn."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of processor time of equally many calls, turn by turn: without telemetry, and with it."""

    out: tuple[float, ...]
    on: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """What is taken with telemetry, by what is taken without."""
        return sum(self.on) / sum(self.out)

    def bounds(self, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
        """Where 95 of 100 ratios of resampled turns lie (the percentile bootstrap)."""
        chance, turns = random.Random(seed), list(zip(self.out, self.on, strict=True))  # noqa: S311 - no secret
        ratios = []
        for _ in range(resamples):
            drawn = chance.choices(turns, k=len(turns))
            ratios.append(sum(on for _, on in drawn) / sum(out for out, _ in drawn))
        ratios.sort()
        return ratios[resamples // 40], ratios[-1 - resamples // 40]


def take_turns(pairs: Sequence[tuple[Case, Case]], turns: int, calls: int) -> Turns:
    """Has both cores of each agent answer in turn, each first as often as the other: `turns` in all."""
    spent: list[tuple[float, float]] = []
    for out, on in pairs:
        for case in (out, on):
            case.loaded(calls)  # what only the first answers of a process do
    for number in range(turns):
        out, on = pairs[number % len(pairs)]
        if number // len(pairs) % 2:
            with_it, without = on.loaded(calls)[0], out.loaded(calls)[0]
        else:
            without, with_it = out.loaded(calls)[0], on.loaded(calls)[0]
        spent.append((without, with_it))
    return Turns(tuple(out for out, _ in spent), tuple(on for _, on in spent))


def run(sizes: Sizes, agents: int, turns: int) -> tuple[Results, Turns]:
    """Measures agents in interleaved rounds, and so many others in turns of their two cores."""
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        with bound(to_first=False):
            collector = bench.collector()
        collectors = {"no_spans": None, "every_question": collector, "dead_collector": f"127.0.0.1:{free_port()}"}
        with bound(to_first=True):
            pairs = [bench.untraced_and_not(f"unsampled{number}", collector) for number in range(agents)]
            cases = [pairs[0][1], *(bench.traced(name, endpoint) for name, endpoint in collectors.items())]
        with bound(to_first=False):
            taken = take_turns(pairs, turns, _CALLS)
            seen: dict[str, list[Figures]] = {case.name: [] for case in cases}
            for number in range(sizes.rounds):
                for case in cases if number % 2 else reversed(cases):
                    seen[case.name].append(case.measure(sizes))
        return {name: summed_up(rounds) for name, rounds in seen.items()}, taken


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench tracing", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="interleaved rounds (default 9)")
    parser.add_argument("--agents", type=int, default=4, metavar="N", help="processes for the ratio (default 4)")
    parser.add_argument("--turns", type=int, default=200, metavar="N", help="turns for the ratio (default 200)")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        results, turns = run(Sizes(options.rounds, 6000, 1500), options.agents, options.turns)
    except (LoadFailed, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    table = Table("agent", *FIGURES, title="one confident local answer; medians of the rounds")
    for name, figures in results.items():
        table.add_row(name, *(f"{figures[figure]:,.1f}" for figure in FIGURES))
    console.print(table)
    low, high = turns.bounds()
    tell(console, [("CPU of an unsampled answer, to that without any telemetry", turns.ratio, MAX_RATIO)], ".3f")
    console.print(
        f"{sum(turns.out) / len(turns.out) / _CALLS * 1e6:.1f} us without, "
        f"{sum(turns.on) / len(turns.on) / _CALLS * 1e6:.1f} us with; "
        f"95 of 100 resamples of {len(turns.on)} turns lie between {low:.3f} and {high:.3f}",
        highlight=False,
    )
    if options.json is not None:
        told: dict[str, object] = {**results, "telemetry_ratio": turns.ratio, "telemetry_bounds": [low, high]}
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    return 0
