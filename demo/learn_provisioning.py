"""From processes without a model to two regions that answer by policies of their own, and learn."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import grpc
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from demo.asking import MODEL, Asker, make_request, read
from demo.calibrating import Certified, calibrate
from demo.control import MODELS, ControlPlane, active_version
from demo.digits import Digits
from demo.processes import DemoFailed
from demo.regional import LADDER, RegionalMesh
from upriver.errors import UpriverError

VERSIONS: Final = dict(zip(LADDER, (MODELS / "device-five", MODELS / "near-edge", MODELS / "cloud"), strict=True))
MAX_LOSS: Final = 0.015
"""Of a region's questions, at most so many end below the cloud and otherwise than it says, before devices learn."""
HOPS_MS: Final = {LADDER[1]: 20.0, LADDER[2]: 40.0}
_LIMIT_S = 60.0


@dataclass(frozen=True)
class Begun:
    """What answers before anything is learnt: versions' names by tier, what was certified by region."""

    versions: Mapping[str, str]
    certified: Mapping[str, Certified]


def begin(mesh: RegionalMesh, control: ControlPlane, aside: Mapping[str, Digits], console: Console) -> Begun:
    """Starts the agents; meanwhile publishes the versions and calibrates each region with digits such as it asks about.

    Comes back when every agent answers with its pair and finds the cloud; raises DemoFailed and UpriverError.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with (
        ThreadPoolExecutor(1) as pool,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown,
    ):
        task = shown.add_task("starting the agents and publishing three versions", total=1.0)
        started = pool.submit(mesh.start)
        try:
            versions = control.publish_all(VERSIONS)
            certified = {}
            for region, digits in aside.items():

                def told(what: str, share: float, region: str = region) -> None:
                    shown.update(task, description=f"calibrating {region}: {what}", completed=share)

                certified[region] = calibrate(control.connection, versions, HOPS_MS, digits, True, told, MAX_LOSS)
            started.result()
            for region, found in certified.items():
                for tier in LADDER[:-1]:
                    selector = f"tier={tier},region={region}"
                    control.roll_out(versions[tier], selector, policy=found.policies.get(tier, ""))
            control.roll_out(versions[LADDER[-1]], f"tier={LADDER[-1]}")
        except UpriverError as error:
            raise DemoFailed(f"the models could not be published and calibrated: {error}") from error
        shown.update(task, description="sending the agents their models and policies")
        _wait(mesh, control, versions)
        _find(mesh, next(iter(aside.values())))
    return Begun(versions, certified)


def _wait(mesh: RegionalMesh, control: ControlPlane, versions: Mapping[str, str]) -> None:
    wanted = {agent.name: versions[agent.tier].rpartition("/")[2] for agent in mesh.agents.values()}
    deadline = time.monotonic() + _LIMIT_S
    while True:
        agents = control.agents()
        told = [f"{name}: {slot.difference}" for name, one in agents.items() for slot in one.slots if slot.difference]
        if not told and {name: active_version(agent, MODEL) for name, agent in agents.items()} == wanted:
            return
        if time.monotonic() > deadline:
            raise DemoFailed(f"not every agent has its pair after {_LIMIT_S:.0f} s: {'; '.join(told)}")
        time.sleep(0.05)


def _find(mesh: RegionalMesh, digits: Digits) -> None:
    """Waits until a question that asks for the top gets there from every device."""
    deadline = time.monotonic() + _LIMIT_S
    for device in mesh.all_devices:
        asker = Asker(device.address)
        while not _is_found(asker, digits):
            if time.monotonic() > deadline:
                raise DemoFailed(f"{device.name} did not find the cloud within {_LIMIT_S:.0f} s")
            time.sleep(0.1)
        asker.close()


def _is_found(asker: Asker, digits: Digits) -> bool:
    try:
        return read(asker.ask(make_request(digits.images[:1], mode="top")), 0.0).tier == LADDER[-1]
    except grpc.RpcError:  # it may only now become ready
        return False
