"""`scripts/demo --learn`: devices that know five digits learn the others from what they have to ask, region by region.

Two regions ask about different digits. What a device is not sure of goes up, and the answer is a lesson; heads that it
learns from them answer once its gate has certified them. Then what the agents of a region learnt is merged by the
control plane, and a whole model is trained from the lessons and rolled out.
"""

import argparse
import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.live import Live

from demo.asking import ask_all, make_request
from demo.calibrating import SEED
from demo.control import ControlPlane
from demo.digits import CACHE, Digits, load_all
from demo.learn_provisioning import Begun, begin
from demo.learn_showing import live, retrained_in_words, summary_in_words, what_to_try
from demo.learn_tally import RegionTally
from demo.learn_watching import Promotion, Watcher
from demo.plotting import plot
from demo.processes import DemoFailed
from demo.regional import LADDER, MAX_LOSS, RegionalMesh
from demo.retraining import MISSING, PYTHON, Retrained, can_retrain, prepare, retrain
from demo.showing import open_browser
from demo.streams import KNOWN, REGIONS, SHOWN, Indices, Stream, streams
from demo.tally import Answered, Tally
from demo.traffic import Traffic

AFTER = 600
"""More questions in each region, when a whole model was trained and is there."""
ASIDE = 5_000
"""Digits of each region that are not asked about and certify what answers there; half of them choose it."""
PICTURE = CACHE.parent / "demo" / "learning.png"
_CONTROL = f"""[regions]
heads = "roll-out"
max_loss = {MAX_LOSS}
confidence = 0.95
least_lessons = 200
look_s = 1.0
wait_s = 10.0
soak_s = 0.0
"""
_TRAINING = f"""[training]
python = "{PYTHON}"
max_loss = 0.0
"""
_SETTLE_S = 2.0


@dataclass
class Region:
    """One region of a run: what it asks and what came of it."""

    name: str
    stream: Stream
    digits: Digits
    asked: Tally
    tally: RegionTally
    seen: int = 0

    @classmethod
    def of(cls, name: str, digits: Digits, questions: int) -> "Region":
        """A region that will ask so many questions about some of the digits."""
        stream = streams(digits.labels, REGIONS[name], questions + AFTER, SEED)
        asked = _part(digits, stream.asked)
        return cls(name, stream, asked, Tally(make_request(asked.images[:1]).ByteSize()), RegionTally(name))

    def look(self, lessons: int) -> None:
        """Takes in the answers that have come since, and how many lessons its devices have now."""
        answered = self.asked.answered
        for one in answered[self.seen :]:
            self._take(one)
        self.seen = len(self.tally.right)
        self.tally.failed = self.asked.failed
        self.tally.look(lessons)

    def _take(self, one: Answered) -> None:
        truth = int(self.digits.labels[one.index])
        self.tally.add(one.tier != LADDER[0], one.label == str(truth), truth < KNOWN)


def play(arguments: argparse.Namespace, folder: Path, console: Console, stop: threading.Event) -> int:
    """Runs it; gives the exit status. Raises DemoFailed, DigitsMissing and UpriverError."""
    retrains = can_retrain() and not arguments.no_retrain
    with console.status("fetching the digits (11 MB, once)"):
        digits = load_all()
        regions = {name: Region.of(name, digits, arguments.questions) for name in REGIONS}
    with ExitStack() as stack:
        control = ControlPlane(folder, _CONTROL + (_TRAINING if retrains else ""), console=not arguments.once)
        stack.callback(control.stop)
        with console.status("starting the control plane"):
            control.wait_ready()
        mesh = RegionalMesh(folder, control.join)
        stack.callback(mesh.stop)
        aside = {name: _part(digits, region.stream.aside[:ASIDE]) for name, region in regions.items()}
        begun = begin(mesh, control, aside, console)
        if retrains:
            prepare(control, begun.versions[LADDER[0]], _shown(digits), folder)
        for name, certified in begun.certified.items():
            console.print(
                f"{name}: devices know 0 to {KNOWN - 1} and are asked about {_digits(name)}; their policy, certified "
                f"for this region, answers {certified.lowest_share:.0%} of that on the device",
                highlight=False,
            )
        watcher = Watcher(mesh, control)
        stack.callback(watcher.stop)
        watcher.start()
        _ask(mesh, regions, watcher, console, stop, range(arguments.questions))
        _mark(regions, "with heads")
        retrained, failed = None, False
        if retrains and not stop.is_set():
            lessons = sum(watcher.lessons(name) for name in regions)
            try:
                retrained = retrain(mesh, control, begun, aside, lessons, console, stop)
            except DemoFailed as error:  # what came before is told all the same
                failed = True
                console.print(f"[red]demo:[/red] {error}", highlight=False)
        elif not can_retrain() and not arguments.no_retrain:
            console.print(MISSING, highlight=False, soft_wrap=True)
        if retrained is not None:
            console.print(retrained_in_words(retrained), highlight=False, soft_wrap=True)
            _ask(mesh, regions, watcher, console, stop, range(arguments.questions, arguments.questions + AFTER))
            _mark(regions, "with the trained model")
        status = max(_end(arguments, regions, watcher, begun, retrained, console), failed)
        if not arguments.once and not stop.is_set():
            what_to_try(console, mesh, control)
            if arguments.open:
                open_browser(control.login("/learning"), console)
            stay(mesh, regions, arguments.rate, stop)
    return status


def stay(mesh: RegionalMesh, regions: Mapping[str, Region], per_s: float, stop: threading.Event) -> None:
    """Asks a little until `stop`, for whoever looks: in each region what is asked there, `per_s` questions in all."""
    with ExitStack() as stack:
        for name, region in regions.items():
            addresses = [device.address for device in mesh.devices(name)]
            traffic = Traffic(addresses, region.digits, per_s / len(regions))
            traffic.start()
            stack.callback(traffic.stop)
        stop.wait()


def _ask(
    mesh: RegionalMesh,
    regions: Mapping[str, Region],
    watcher: Watcher,
    console: Console,
    stop: threading.Event,
    part: range,
) -> None:
    """Asks a part of the questions of all regions at once; shows how it goes."""
    threads = [
        threading.Thread(target=_ask_region, args=(mesh, one, stop, part), daemon=True) for one in regions.values()
    ]
    started = time.monotonic()
    with Live(console=console, refresh_per_second=4, transient=False) as shown:

        def tick() -> None:
            for name, region in regions.items():
                region.look(watcher.lessons(name))
            shown.update(live([one.tally for one in regions.values()], watcher, time.monotonic() - started))

        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                tick()
                thread.join(0.25)
        time.sleep(_SETTLE_S)
        tick()
    console.print()


def _ask_region(mesh: RegionalMesh, region: Region, stop: threading.Event, part: range) -> None:
    addresses = [device.address for device in mesh.devices(region.name)]
    ask_all(
        addresses,
        region.digits,
        region.asked,
        stop,
        lambda: None,
        lambda number: number < len(part),
        part.__getitem__,
        learn=True,
    )


def _end(
    arguments: argparse.Namespace,
    regions: Mapping[str, Region],
    watcher: Watcher,
    begun: Begun,
    retrained: Retrained | None,
    console: Console,
) -> int:
    promotions = {name: watcher.promotions(name) for name in regions}
    tallies = {name: region.tally for name, region in regions.items()}
    summary_in_words(console, tallies, promotions, watcher.merged)
    plot(
        {name: one.points for name, one in tallies.items()},
        {name: [one.lessons for one in found] for name, found in promotions.items()},
        PICTURE,
    )
    console.print(f"the curves as a picture: {PICTURE}", highlight=False, soft_wrap=True)
    if arguments.json is not None:
        record = {
            "regions": _record(tallies, promotions, begun),
            "merged": watcher.merged,
            "retrained": None if retrained is None else asdict(retrained),
        }
        arguments.json.write_text(json.dumps(record, indent=2, default=dict) + "\n")
    return 1 if any(one.failed for one in tallies.values()) else 0


def _record(
    tallies: Mapping[str, RegionTally], promotions: Mapping[str, Sequence[Promotion]], begun: Begun
) -> dict[str, object]:
    """What `--json` tells."""
    return {
        name: {
            "questions": len(tally.right),
            "failed": tally.failed,
            "lessons": tally.lessons,
            "escalation_start": round(tally.start, 4),
            "escalation": {what: round(share, 4) for what, share in tally.marks.items()},
            "half_life_lessons": tally.half_life,
            "accuracy_known_first_half": round(tally.old_accuracy(late=False), 4),
            "accuracy_known_second_half": round(tally.old_accuracy(late=True), 4),
            "certified": begun.certified[name].max_loss,
            "promotions": [asdict(one) for one in promotions[name]],
            "points": [asdict(point) for point in tally.points],
        }
        for name, tally in tallies.items()
    }


def _shown(digits: Digits) -> Digits:
    """Those that the devices' first version was trained on."""
    return _part(digits, np.flatnonzero((digits.labels < KNOWN) & (np.arange(len(digits)) < SHOWN)))


def _mark(regions: Mapping[str, Region], what: str) -> None:
    for region in regions.values():
        region.tally.mark(what)


def _part(digits: Digits, rows: Indices) -> Digits:
    return Digits(digits.images[rows], digits.labels[rows])


def _digits(region: str) -> str:
    return f"{REGIONS[region][0]} to {REGIONS[region][-1]} as well"
