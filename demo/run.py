"""`scripts/demo`: 10,000 real handwritten digits, answered by a mesh of four agents on this machine."""

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.asking import Asker, alone, ask_all, make_request, read
from demo.collector import Collector
from demo.consul import consul
from demo.digits import CACHE, Digits, DigitsMissing, load_test
from demo.mesh import TIERS, DemoFailed, Mesh
from demo.tally import Tally

SAMPLE_RATE = 0.05
_TRACE_WAIT_S = 15.0
_FOUND_WAIT_S = 30.0


@dataclass(frozen=True)
class Kill:
    """End an agent by kill -9 so many seconds into the questions."""

    tier: str
    after_s: float


def parse_kill(text: str) -> Kill:
    """Reads `near-edge@3s`."""
    tier, at, when = text.partition("@")
    try:
        after_s = float(when.removesuffix("s"))
    except ValueError:
        after_s = -1.0
    if not at or tier not in TIERS[1:] or not 0 <= after_s < 3600:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected TIER@SECONDS, such as near-edge@3s, with a tier of {', '.join(TIERS[1:])}"
        )
    return Kill(tier, after_s)


def parse_delays(text: str) -> tuple[float, ...]:
    """Reads `5,15,40`: milliseconds added to each of the three hops."""
    try:
        delays = tuple(float(part) for part in text.split(","))
    except ValueError:
        delays = ()
    if len(delays) != len(TIERS) - 1 or not all(0 <= delay <= 10_000 for delay in delays):
        raise argparse.ArgumentTypeError(f"{text!r}: expected three delays in ms, such as 5,15,40, each 0 to 10000")
    return delays


def main() -> int:
    """Runs the demo; gives the exit status."""
    arguments = _arguments()
    console = Console(stderr=False)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with tempfile.TemporaryDirectory(prefix="upriver-demo-") as folder:
            return _run(arguments, Path(folder), console, stop)
    except (DemoFailed, DigitsMissing) as error:
        console.print(f"[red]demo:[/red] {error}", highlight=False)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Four agents (device, far edge, near edge, cloud) answer 10,000 real handwritten digits. Every "
        "question goes to the device; what a tier is not sure of goes up. Stays up for playing; Ctrl-C ends it all.",
    )
    parser.add_argument("--once", action="store_true", help="end after the summary")
    parser.add_argument("--questions", type=int, default=10_000, metavar="N", help="ask only the first N digits")
    parser.add_argument("--consul", action="store_true", help="let the agents find each other through a real Consul")
    parser.add_argument(
        "--hop-delay", type=parse_delays, default=(0.0, 0.0, 0.0), metavar="MS,MS,MS", help="delay each hop, in ms"
    )
    parser.add_argument("--kill", type=parse_kill, metavar="TIER@SECONDS", help="kill -9 an agent in the middle")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary as JSON")
    arguments = parser.parse_args()
    if not 1 <= arguments.questions <= 10_000:
        parser.error(f"--questions {arguments.questions}: expected 1 to 10000")
    return arguments


def _run(arguments: argparse.Namespace, folder: Path, console: Console, stop: threading.Event) -> int:
    with console.status("fetching the digits (11 MB, once)"):
        digits = load_test().part(0, arguments.questions)
    with ExitStack() as stack:
        collector = Collector()
        collector.start()
        stack.callback(collector.stop)
        address = stack.enter_context(consul(folder)) if arguments.consul else None
        mesh = Mesh(folder, collector.endpoint, arguments.hop_delay, SAMPLE_RATE, address)
        stack.callback(mesh.stop)
        with console.status("starting four agents"):
            mesh.start()
            _found(mesh, digits)
            own = {tier: alone(agent.address, digits) for tier, agent in mesh.agents.items()}
        where = f", found through Consul at {address}" if address else ""
        console.print(
            f"{len(TIERS)} agents serve{where}. Asking {mesh.agents['device'].name} about {len(digits)} digits."
        )
        tally = Tally(request_bytes=make_request(digits.images[:1]).ByteSize())
        _ask(arguments, mesh, digits, tally, console, stop)
        complete = _complete(collector, tally)
        summary = tally.summary({tier: own[tier] for tier in TIERS}, len(TIERS) - 1, complete)
        _show(console, tally, summary)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(summary, indent=2) + "\n")
        if not arguments.once and not stop.is_set():
            _stay(console, mesh, digits, address)
            stop.wait()
        console.print("ending the agents")
    return 1 if tally.failed else 0


def _found(mesh: Mesh, digits: Digits) -> None:
    """Waits until a question that asks for the top gets there from the device, by whatever discovery."""
    asker = Asker(mesh.agents["device"].address)
    deadline = time.monotonic() + _FOUND_WAIT_S
    while read(asker.ask(make_request(digits.images[:1], mode="top")), 0.0).tier != TIERS[-1]:
        if time.monotonic() > deadline:
            raise DemoFailed(f"the device did not find the cloud within {_FOUND_WAIT_S:.0f} s")
        time.sleep(0.1)
    asker.close()


def _ask(
    arguments: argparse.Namespace,
    mesh: Mesh,
    digits: Digits,
    tally: Tally,
    console: Console,
    stop: threading.Event,
) -> None:
    started = time.monotonic()
    kill: Kill | None = arguments.kill
    notes: list[str] = []

    def tick() -> None:
        nonlocal kill
        if kill is not None and time.monotonic() - started >= kill.after_s:
            mesh.kill(kill.tier)
            notes.append(f"{kill.tier}-1 was killed after {tally.asked} questions")
            kill = None
        live.update(_table(tally, len(digits), time.monotonic() - started, notes))

    with Live(console=console, refresh_per_second=8, transient=False) as live:
        ask_all(mesh.agents["device"].address, digits, tally, stop, tick)
        tick()
    if kill is not None:
        console.print(f"[yellow]the questions ended before {kill.tier} was to be killed at {kill.after_s:g} s[/yellow]")


def _table(tally: Tally, total: int, seconds: float, notes: Sequence[str]) -> Table:
    rate = tally.asked / seconds if seconds else 0.0
    title = (
        f"{tally.asked:,} of {total:,} digits, {rate:,.0f}/s, accuracy {tally.accuracy():.2%}, failed {tally.failed}"
    )
    table = Table(title=title, caption="\n".join(notes) or None, title_justify="left")
    for name in ("answered by", "questions", "share", "right", "p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "answered by" else "right")
    for tier in TIERS:
        count = tally.by_tier[tier]
        table.add_row(
            tier,
            f"{count:,}",
            f"{count / max(1, tally.answers):.1%}",
            f"{tally.right_by_tier[tier] / count:.2%}" if count else "-",
            f"{tally.percentile_ms(50, tier):.2f}",
            f"{tally.percentile_ms(99, tier):.2f}",
        )
    return table


def _complete(collector: Collector, tally: Tally) -> int:
    """Waits, within bounds, for the spans that are still on their way."""
    deadline = time.monotonic() + _TRACE_WAIT_S
    while (complete := collector.complete(tally.traces)) < len(tally.traces) and time.monotonic() < deadline:
        time.sleep(0.1)
    return complete


def _show(console: Console, tally: Tally, summary: Mapping[str, object]) -> None:
    accuracy, traces = summary["accuracy"], summary["traces"]
    up, every = summary["bytes_up_per_question"], summary["bytes_send_all"]
    assert isinstance(accuracy, dict)  # noqa: S101 - narrows what summary() has just made
    assert isinstance(traces, dict)  # noqa: S101 - likewise
    own = ", ".join(f"{tier} {accuracy[tier]:.2%}" for tier in TIERS)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.reasons.most_common())
    lines = [
        f"accuracy   {accuracy['cascade']:.2%} as a mesh; alone: {own}",
        f"bytes up   {up} a question over all hops; {every} if each were sent to the cloud",
        f"latency    p50 {tally.percentile_ms(50):.2f} ms, p99 {tally.percentile_ms(99):.2f} ms, as the caller saw it",
        f"why ended  {reasons}",
        f"marked     unresolved {tally.unresolved}, degraded {tally.degraded}, failed {tally.failed}",
        f"traces     {traces['complete']} of {traces['sampled']} complete over all hops",
    ]
    if tally.failures:
        lines.append(f"errors     {dict(tally.failures)}")
    console.print("", *lines, sep="\n", highlight=False, soft_wrap=True)


def _stay(console: Console, mesh: Mesh, digits: Digits, consul_address: str | None) -> None:
    from PIL import Image

    pictures = CACHE.parent / "demo"
    pictures.mkdir(parents=True, exist_ok=True)
    for index in range(min(10, len(digits))):
        Image.fromarray(digits.images[index, :, :, 0]).save(pictures / f"digit-{index}.png")
    device = mesh.agents["device"].address
    lines = ["", "The agents stay up; Ctrl-C ends them. Try, in another terminal:"]
    lines.append(f"  .venv/bin/upriver infer digits {pictures}/*.png --agent {device}")
    lines.append(f"  .venv/bin/upriver infer digits {pictures}/digit-8.png --agent {device} --mode top")
    if consul_address:
        lines.append(f"  .venv/bin/upriver agents --consul {consul_address}")
    for agent in mesh.agents.values():
        lines.append(f"  {agent.name:<12} {agent.address:<18} log {agent.log}")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
