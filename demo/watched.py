"""The demo's mesh for whatever looks at its console: provisioned, asked a lot at once, then a little all along."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from demo.asking import ask_all, make_request
from demo.control import ControlPlane
from demo.digits import Digits, load_test, load_unseen
from demo.mesh import TIERS, Mesh, MeshOptions
from demo.provisioning import found, provision
from demo.run import APART_MS, SAMPLE_RATE
from demo.tally import Tally
from demo.traffic import Traffic

_ASKED: Final = 2_000
_SETTLE_S: Final = 25.0
"""Agents tell their counts every 15 s, and what is shown of the last minute comes of them."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What runs, and the digits that it is asked about."""

    control: ControlPlane
    mesh: Mesh
    digits: Digits


def watched(folder: Path, stack: ExitStack, console: Console, per_s: float) -> Watched:
    """Starts it, with a console, and gives it when there is something to see; `stack` ends it.

    Hops are as far apart as tiers are. Raises DemoFailed, DigitsMissing and UpriverError.
    """
    digits, unseen = load_test().part(0, _ASKED), load_unseen()
    control = ControlPlane(folder, console=True)
    stack.callback(control.stop)
    control.wait_ready()
    mesh = Mesh(folder, MeshOptions(control.join, APART_MS, SAMPLE_RATE))
    stack.callback(mesh.stop)
    provision(mesh, control, unseen, dict(zip(TIERS[1:], APART_MS, strict=True)), False, console)
    found(mesh, digits)
    devices = [device.address for device in mesh.devices]
    with console.status("asking"):
        tally = Tally(request_bytes=make_request(digits.images[:1]).ByteSize())
        ask_all(devices, digits, tally, threading.Event(), lambda: None, lambda number: number < len(digits))
        traffic = Traffic(devices, digits, per_s)
        traffic.start()
        stack.callback(traffic.stop)
        time.sleep(_SETTLE_S)
    return Watched(control, mesh, digits)
