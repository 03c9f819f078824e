"""`scripts/demo`: 10,000 real handwritten digits, answered by a mesh of agents that a control plane sends models to."""

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.live import Live

from demo.asking import MODEL, Asker, alone, ask_all, make_request, read
from demo.candidates import accuracies
from demo.collector import Collector
from demo.consul import consul
from demo.control import MODELS, ControlPlane, active_version
from demo.digits import Digits, DigitsMissing, load_test
from demo.mesh import TIERS, Mesh, MeshOptions
from demo.options import Kill, read_options
from demo.processes import DemoFailed
from demo.rollouts import DEVICES, RolloutStory
from demo.showing import live, summary_in_words, what_to_try
from demo.tally import Tally

SAMPLE_RATE = 0.05
_TRACE_WAIT_S = 15.0
_FOUND_WAIT_S = 30.0
_PROVISIONED_WAIT_S = 60.0
_BEGIN = 0.25
"""The share of the digits after which a rollout begins."""


def main() -> int:
    """Runs the demo; gives the exit status."""
    arguments = read_options()
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


def _run(arguments: argparse.Namespace, folder: Path, console: Console, stop: threading.Event) -> int:
    with console.status("fetching the digits (11 MB, once)"):
        digits = load_test().part(0, arguments.questions)
    with ExitStack() as stack:
        collector = Collector()
        collector.start()
        stack.callback(collector.stop)
        control = ControlPlane(folder)
        stack.callback(control.stop)
        address = stack.enter_context(consul(folder)) if arguments.consul else None
        with console.status("starting the control plane"):
            control.wait_ready()
        devices = 1 if arguments.candidate is None else DEVICES
        options = MeshOptions(control.join, collector.endpoint, arguments.hop_delay, SAMPLE_RATE, devices, address)
        mesh = Mesh(folder, options)
        stack.callback(mesh.stop)
        with console.status("starting the agents and sending them models"):
            mesh.start()
            _provision(mesh, control)
            _found(mesh, digits)
        tally = Tally(request_bytes=make_request(digits.images[:1]).ByteSize())
        story = _story(arguments, control, tally, folder, stop)
        own = _own(mesh, digits, story, folder, console) if arguments.kill else {}  # who is killed can't be asked later
        where = f", found through Consul at {address}" if address else ""
        asked = ", ".join(agent.name for agent in mesh.devices)
        console.print(f"{len(mesh.agents)} agents serve{where}. Asking {asked} about {len(digits)} digits.")
        _ask(arguments, mesh, digits, tally, story, console, stop)
        if not own and not stop.is_set():
            own = _own(mesh, digits, story, folder, console)
        record = None if story is None else story.record
        summary = tally.summary(own, len(TIERS) - 1, _complete(collector, tally), record)
        summary_in_words(console, tally, summary)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(summary, indent=2) + "\n")
        if not arguments.once and not stop.is_set():
            what_to_try(console, mesh, control, digits, address)
            stop.wait()
        console.print("ending the agents and the control plane")
    return 1 if tally.failed or (story is not None and not story.is_as_meant) else 0


def _provision(mesh: Mesh, control: ControlPlane) -> None:
    """Publishes each tier's version, rolls it out, and waits until every agent answers with it."""
    versions = control.provision({tier: MODELS / tier for tier in TIERS})
    wanted = {agent.name: versions[agent.tier].rpartition("/")[2] for agent in mesh.agents.values()}
    deadline = time.monotonic() + _PROVISIONED_WAIT_S
    while True:
        agents = control.agents()
        if {name: active_version(agent, MODEL) for name, agent in agents.items()} == wanted:
            return
        if time.monotonic() > deadline:
            told = [f"{name}: {slot.difference}" for name, agent in agents.items() for slot in agent.slots]
            raise DemoFailed(f"not every agent has its model after {_PROVISIONED_WAIT_S:.0f} s: {'; '.join(told)}")
        time.sleep(0.05)


def _found(mesh: Mesh, digits: Digits) -> None:
    """Waits until a question that asks for the top gets there from every device, by whatever discovery."""
    deadline = time.monotonic() + _FOUND_WAIT_S
    for device in mesh.devices:
        asker = Asker(device.address)
        while read(asker.ask(make_request(digits.images[:1], mode="top")), 0.0).tier != TIERS[-1]:
            if time.monotonic() > deadline:
                raise DemoFailed(f"{device.name} did not find the cloud within {_FOUND_WAIT_S:.0f} s")
            time.sleep(0.1)
        asker.close()


def _story(
    arguments: argparse.Namespace, control: ControlPlane, tally: Tally, folder: Path, stop: threading.Event
) -> RolloutStory | None:
    candidate = arguments.candidate
    if candidate is None:
        return None
    version = candidate.folder(folder)
    return RolloutStory(candidate, control, version, lambda: tally.asked, lambda: tally.failed, stop)


def _own(mesh: Mesh, digits: Digits, story: RolloutStory | None, folder: Path, console: Console) -> dict[str, float]:
    """Each model's accuracy with nobody above it.

    With a rollout the devices' models are not asked through the agents: those count what they are asked, and what one
    of them has not sent up here would be held against the new model; nor does any of them run both.
    """
    with console.status("asking each model alone"):
        if story is None:
            return {tier: alone(mesh.first(tier).address, digits) for tier in TIERS}
        now, candidate = accuracies([MODELS / "device", story.folder], len(digits), folder)
        own = {"device": now, story.candidate.name: candidate}
        return own | {tier: alone(mesh.first(tier).address, digits) for tier in TIERS[1:]}


def _ask(
    arguments: argparse.Namespace,
    mesh: Mesh,
    digits: Digits,
    tally: Tally,
    story: RolloutStory | None,
    console: Console,
    stop: threading.Event,
) -> None:
    started = time.monotonic()
    kill: Kill | None = arguments.kill
    notes: list[str] = []

    def tick() -> None:
        nonlocal kill
        seconds = time.monotonic() - started
        if kill is not None and seconds >= kill.after_s:
            mesh.first(kill.tier).program.kill()
            notes.append(f"{kill.tier}-1 was killed after {tally.asked} questions")
            kill = None
        if story is not None and not story.has_begun and tally.asked >= _BEGIN * len(digits):
            story.begin()
        shown.update(live(tally, len(digits), seconds, notes, story))

    def goes_on(number: int) -> bool:
        return number < len(digits) or (story is not None and not story.is_over)

    addresses = [device.address for device in mesh.devices]
    with Live(console=console, refresh_per_second=8, transient=False) as shown:
        ask_all(addresses, digits, tally, stop, tick, goes_on)
        tick()
    if kill is not None:
        console.print(f"[yellow]the questions ended before {kill.tier} was to be killed at {kill.after_s:g} s[/yellow]")


def _complete(collector: Collector, tally: Tally) -> int:
    """Waits, within bounds, for the spans that are still on their way."""
    deadline = time.monotonic() + _TRACE_WAIT_S
    while (complete := collector.complete(tally.traces)) < len(tally.traces) and time.monotonic() < deadline:
        time.sleep(0.1)
    return complete


if __name__ == "__main__":
    sys.exit(main())
