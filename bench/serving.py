"""`scripts/bench serving`: what an answer costs, against the raw model, a bare echo, and peers with the same model.

All cases run in one go in interleaved rounds; medians are told, with the lowest and highest of the rounds beside them.
CPU per request is user and system time of all the server's processes divided by the requests.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import load
from bench.cases import Bench, Case, Figures, Raw, Sizes
from bench.load import LoadFailed
from bench.servers import ServerFailed
from bench.targets import tell

FIGURES = ("cpu_us", "p50_us", "p99_us", "rps", "rss_mb", "cold_s")
NOT_UNARY = ("agent_batch32", "agent_stream")


Results = dict[str, dict[str, float | list[float] | str]]


def summed_up(rounds: Sequence[Figures]) -> dict[str, float | list[float] | str]:
    """Medians over the rounds; beside each figure `<figure>_spread`, its lowest and highest."""
    told: dict[str, float | list[float] | str] = {}
    for figure in FIGURES:
        values = [one[figure] for one in rounds]
        told[figure] = round(statistics.median(values), 3)
        told[f"{figure}_spread"] = [round(min(values), 3), round(max(values), 3)]
    return told


def stock_client_us(address: str, calls: int) -> tuple[float, float]:
    """p50 and p99 of tritonclient, one request at a time, microseconds."""
    import tritonclient.grpc as triton

    array = np.random.default_rng(2).random((1, 784), dtype=np.float32)
    took = np.empty(calls)
    with triton.InferenceServerClient(address) as client:
        for index in range(-20, calls):
            image = triton.InferInput("x", [1, 784], "FP32")
            image.set_data_from_numpy(array)
            began = time.perf_counter()
            client.infer("s", [image])
            if index >= 0:
                took[index] = time.perf_counter() - began
    return float(np.percentile(took, 50)) * 1e6, float(np.percentile(took, 99)) * 1e6


def start(bench: Bench, peers: bool, console: Console) -> list[Case | Raw]:
    """Starts the servers; a peer that can't be installed or started is told and left out."""
    with console.status("starting the servers"):
        cases = list(bench.cases())
        for name, make in bench.peers().items() if peers else ():
            try:
                cases.append(make())
            except (LoadFailed, ServerFailed) as error:
                console.print(f"{name} is left out: {error}", style="red", highlight=False)
    return cases


def run(sizes: Sizes, peers: bool, console: Console) -> Results:
    """Measures every case in interleaved rounds."""
    with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
        cases = start(Bench(Path(folder), stack), peers, console)
        seen: dict[str, list[Figures]] = {case.name: [] for case in cases}
        with Progress(console=console) as progress:
            task = progress.add_task("measuring", total=sizes.rounds * len(cases))
            for _ in range(sizes.rounds):
                for case in cases:
                    progress.update(task, description=case.name)
                    seen[case.name].append(case.measure(sizes))
                    progress.advance(task)
        results: Results = {name: summed_up(rounds) for name, rounds in seen.items()}
        for case in cases:
            if isinstance(case, Raw):
                continue
            results[case.name]["client"] = load.client()
            if case.first_cold_s:
                results[case.name]["first_cold_s"] = round(case.first_cold_s, 3)
            if case.name not in NOT_UNARY:
                p50, p99 = stock_client_us(case.address, sizes.alone)
                results[case.name] |= {"stock_client_p50_us": round(p50, 1), "stock_client_p99_us": round(p99, 1)}
    return results


def targets(results: Results) -> list[tuple[str, float, float]]:
    """Each target: what, measured, at most."""

    def value(case: str, figure: str) -> float:
        found = results[case][figure]
        assert isinstance(found, float | int)  # noqa: S101 - medians are numbers
        return float(found)

    told = [("CPU of agent / echo", value("agent", "cpu_us") / value("echo", "cpu_us"), 1.35)]
    for peer in ("mlserver", "kserve"):
        if peer in results:
            told.append((f"CPU of agent / {peer}", value("agent", "cpu_us") / value(peer, "cpu_us"), 0.6))
    told.append(("RSS of agent, MB", value("agent", "rss_mb"), 85.0))
    told.append(("cold start of agent, s", value("agent", "cold_s"), 1.0))
    return told


def show(results: Results, console: Console) -> None:
    """Prints the figures and how they stand against the targets."""
    table = Table(title="medians of the rounds; a batch's and a stream's figures are per row and per request")
    table.add_column("case")
    for figure in FIGURES:
        table.add_column(figure, justify="right")
    for name, figures in results.items():
        table.add_row(name, *(f"{figures[figure]:,.{2 if figure == 'cold_s' else 1}f}" for figure in FIGURES))
    console.print(table)
    tell(console, targets(results))


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench serving", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--peers", action="store_true", help="also MLServer and KServe, in venvs of their own")
    parser.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds (default 5; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    options = parser.parse_args(arguments)
    sizes = Sizes(options.rounds or 1, 1500, 200) if options.quick else Sizes(options.rounds or 5, 6000, 1500)
    console = Console()
    if load.client() != "h2load":
        console.print("h2load is not here (apt-get install nghttp2-client): load comes from grpcio, which is slower")
    try:
        results = run(sizes, options.peers, console)
    except (LoadFailed, ServerFailed) as error:
        console.print(f"bench: {error}", style="red", highlight=False)
        return 1
    show(results, console)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0
