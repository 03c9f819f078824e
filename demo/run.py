"""`scripts/demo`: 10,000 real handwritten digits, answered by a mesh of agents that a control plane sends models to."""

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from demo.asking import MODEL, alone, ask_all, make_request
from demo.calibrating import SEED, Certified
from demo.candidates import accuracies
from demo.consul import consul
from demo.control import MODELS, ControlPlane
from demo.digits import Digits, DigitsMissing, load_test, load_unseen
from demo.drift import drifted
from demo.drifting import AUDITS_PER_S, AUDITS_RATE, DriftStory
from demo.learn import play
from demo.mesh import TIERS, Mesh, MeshOptions
from demo.options import Kill, read_options
from demo.processes import DemoFailed
from demo.provisioning import found, provision
from demo.rollouts import DEVICES, RolloutStory
from demo.showing import certified_in_words, live, open_browser, summary_in_words, what_to_try
from demo.tally import Labels, Tally, loss
from demo.traces import complete
from demo.traffic import Traffic
from upriver.errors import UpriverError

SAMPLE_RATE = 0.05
APART_MS = (5.0, 15.0, 40.0)
"""What hops would take between a device, a gateway, a site and a cloud."""
_TRACE_WAIT_S = 15.0
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
            if arguments.learn:
                return play(arguments, Path(folder), console, stop)
            return _run(arguments, Path(folder), console, stop)
    except (DemoFailed, DigitsMissing, UpriverError) as error:
        console.print(f"[red]demo:[/red] {error}", highlight=False)
        return 1


@dataclass(frozen=True)
class Stage:
    """Everything of one run. `digits` are those that are asked, `top` is what the top says to each."""

    arguments: argparse.Namespace
    console: Console
    folder: Path
    stop: threading.Event
    mesh: Mesh
    control: ControlPlane
    certified: Certified
    digits: Digits
    top: Labels
    tally: Tally
    story: RolloutStory | None
    drift: DriftStory | None


def _run(arguments: argparse.Namespace, folder: Path, console: Console, stop: threading.Event) -> int:
    with console.status("fetching the digits (11 MB, once)"):
        digits, unseen = load_test().part(0, arguments.questions), load_unseen()
        half = len(digits) // 2
        if arguments.drift:
            digits = drifted(digits, half, SEED)
    with ExitStack() as stack:
        control = ControlPlane(folder, console=not arguments.once)
        stack.callback(control.stop)
        address = stack.enter_context(consul(folder)) if arguments.consul else None
        with console.status("starting the control plane"):
            control.wait_ready()
        devices = 1 if arguments.candidate is None else DEVICES
        audits = (AUDITS_RATE, AUDITS_PER_S) if arguments.drift else None
        options = MeshOptions(control.join, arguments.hop_delay, SAMPLE_RATE, devices, address, audits)
        mesh = Mesh(folder, options)
        stack.callback(mesh.stop)
        certified = provision(mesh, control, unseen, _hops_ms(arguments.hop_delay), devices > 1, console)
        with console.status("looking for the top"):
            found(mesh, digits)
            top = alone(mesh.first(TIERS[-1]).address, digits)
        tally = Tally(request_bytes=make_request(digits.images[:1]).ByteSize())
        story = _story(arguments, control, tally, folder, stop)
        drift = None
        if arguments.drift:
            drift = DriftStory(control, tally, top, len(digits), half, certified.max_loss, stop)
        stage = Stage(arguments, console, folder, stop, mesh, control, certified, digits, top, tally, story, drift)
        console.print(certified_in_words(certified), highlight=False, soft_wrap=True)
        where = f", found through Consul at {address}" if address else ""
        asked = ", ".join(agent.name for agent in mesh.devices)
        console.print(f"{len(mesh.agents)} agents serve{where}. Asking {asked} about {len(digits)} digits.")
        _play(stage)
        if not arguments.once and not stop.is_set():
            what_to_try(console, mesh, control, digits, address)
            _stay(stage)
        console.print("ending the agents and the control plane")
    return 1 if tally.failed or any(one is not None and not one.is_as_meant for one in (story, drift)) else 0


def _play(stage: Stage) -> None:
    """Asks, and tells what came of it."""
    own = _own(stage) if stage.arguments.kill else {}  # who is killed can't be asked later
    _ask(stage)
    if not own and not stage.stop.is_set():
        own = _own(stage)
    tally, story = stage.tally, stage.story
    kept = _complete(stage.control, tally)
    summary = tally.summary(own, len(TIERS) - 1, kept, stage.control.audits(MODEL)) | {
        "certificate": asdict(stage.certified),
        "realised": _realised(stage),
        "rollout": None if story is None or story.record is None else dict(story.record),
        "drift": None if stage.drift is None else stage.drift.record(),
    }
    summary_in_words(stage.console, tally, summary)
    if stage.arguments.json is not None:
        stage.arguments.json.write_text(json.dumps(summary, indent=2) + "\n")


def _realised(stage: Stage) -> dict[str, float]:
    """What it cost not to ask the top: other answers than its, and how many more of them would have been right."""
    asked = [one.index for one in stage.tally.answered]
    top_right = float((stage.top == stage.digits.labels)[asked].mean()) if asked else 0.0
    right = stage.tally.right / max(1, stage.tally.answers)
    return {"loss": round(loss(stage.tally.answered, stage.top), 5), "accuracy_lost": round(top_right - right, 5)}


def _hops_ms(delays_ms: Sequence[float]) -> Mapping[str, float]:
    """The time of the hop up to each tier as the calibration is told: where none is delayed, that of tiers apart."""
    return dict(zip(TIERS[1:], delays_ms if any(delays_ms) else APART_MS, strict=True))


def _story(
    arguments: argparse.Namespace, control: ControlPlane, tally: Tally, folder: Path, stop: threading.Event
) -> RolloutStory | None:
    candidate = arguments.candidate
    if candidate is None:
        return None
    version = candidate.folder(folder)
    return RolloutStory(candidate, control, version, lambda: tally.asked, lambda: tally.failed, stop)


def _own(stage: Stage) -> dict[str, float]:
    """Each model's accuracy with nobody above it.

    With a rollout the devices' models are not asked through the agents: those count what they are asked, and what one
    of them has not sent up here would be held against the new model; nor does any of them run both.
    """
    digits, story = stage.digits, stage.story

    def right(labels: Labels) -> float:
        return float((labels == digits.labels).mean())

    with stage.console.status("asking each model alone"):
        first = TIERS[0]
        if story is None:
            own = {first: right(alone(stage.mesh.first(first).address, digits))}
        else:
            now, candidate = accuracies([MODELS / first, story.folder], len(digits), stage.folder)
            own = {first: now, story.candidate.name: candidate}
        own |= {tier: right(alone(stage.mesh.first(tier).address, digits)) for tier in TIERS[1:-1]}
        return own | {TIERS[-1]: right(stage.top)}


def _ask(stage: Stage) -> None:
    tally, story, drift, digits, mesh = stage.tally, stage.story, stage.drift, stage.digits, stage.mesh
    started = time.monotonic()
    kill: Kill | None = stage.arguments.kill
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
        if drift is not None:
            drift.look()
        shown.update(live(tally, len(digits), seconds, [*notes, *(drift.notes if drift else [])], story))

    def goes_on(number: int) -> bool:
        if drift is not None:
            return drift.goes_on(number)
        return number < len(digits) or (story is not None and not story.is_over)

    addresses = [device.address for device in mesh.devices]
    with Live(console=stage.console, refresh_per_second=8, transient=False) as shown:
        if drift is not None:
            drift.begin()
        ask_all(addresses, digits, tally, stage.stop, tick, goes_on, drift.order if drift else None)
        if drift is not None:
            drift.end()
        tick()
    if kill is not None:
        told = f"[yellow]the questions ended before {kill.tier} was to be killed at {kill.after_s:g} s[/yellow]"
        stage.console.print(told)


def _complete(control: ControlPlane, tally: Tally) -> int:
    """Waits, within bounds, for the spans that are still on their way."""
    deadline = time.monotonic() + _TRACE_WAIT_S
    while (found := complete(control.connection, tally.traces)) < len(tally.traces) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def _stay(stage: Stage) -> None:
    """Asks a little until Ctrl-C, for whoever looks; opens a browser for who wanted one."""
    traffic = Traffic([device.address for device in stage.mesh.devices], stage.digits, stage.arguments.rate)
    traffic.start()
    try:
        if stage.arguments.open:
            open_browser(stage.control.login(), stage.console)
        stage.stop.wait()
    finally:
        traffic.stop()


if __name__ == "__main__":
    sys.exit(main())
