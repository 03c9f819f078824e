"""From processes without a model to a mesh that answers by certified policies, and the checks that it does."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from demo.asking import MODEL, Asker, make_request, read
from demo.calibrating import Certified, calibrate
from demo.control import MODELS, ControlPlane, active_version
from demo.digits import Digits
from demo.mesh import TIERS, Mesh
from demo.processes import DemoFailed
from upriver.errors import UpriverError

_FOUND_WAIT_S = 30.0
_PROVISIONED_WAIT_S = 60.0


def provision(
    mesh: Mesh, control: ControlPlane, unseen: Digits, hops_ms: Mapping[str, float], changes: bool, console: Console
) -> Certified:
    """Starts the agents; meanwhile publishes each tier's version and calibrates; then rolls the pairs out.

    `unseen` are digits that nothing was trained on; `changes` says whether pairs will be replaced later. Comes back
    when every agent answers with its pair; raises DemoFailed.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with (
        ThreadPoolExecutor(1) as pool,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown,
    ):
        task = shown.add_task("starting the agents and publishing four versions", total=1.0)
        started = pool.submit(mesh.start)
        try:
            versions = control.publish_all({tier: MODELS / tier for tier in TIERS})
            certified = calibrate(
                control.connection,
                versions,
                hops_ms,
                unseen,
                changes,
                lambda what, share: shown.update(task, description=f"calibrating: {what}", completed=share),
            )
            started.result()
            for tier, version in versions.items():
                control.roll_out(version, f"tier={tier}", policy=certified.policies.get(tier, ""))
        except UpriverError as error:
            raise DemoFailed(f"the models could not be published and calibrated: {error}") from error
        shown.update(task, description="sending the agents their models and policies")
        _wait(mesh, control, versions)
    return certified


def found(mesh: Mesh, digits: Digits) -> None:
    """Waits until a question that asks for the top gets there from every device, by whatever discovery."""
    deadline = time.monotonic() + _FOUND_WAIT_S
    for device in mesh.devices:
        asker = Asker(device.address)
        while read(asker.ask(make_request(digits.images[:1], mode="top")), 0.0).tier != TIERS[-1]:
            if time.monotonic() > deadline:
                raise DemoFailed(f"{device.name} did not find the cloud within {_FOUND_WAIT_S:.0f} s")
            time.sleep(0.1)
        asker.close()


def _wait(mesh: Mesh, control: ControlPlane, versions: Mapping[str, str]) -> None:
    wanted = {agent.name: versions[agent.tier].rpartition("/")[2] for agent in mesh.agents.values()}
    deadline = time.monotonic() + _PROVISIONED_WAIT_S
    while True:
        agents = control.agents()
        differences = [
            f"{name}: {slot.difference}" for name, agent in agents.items() for slot in agent.slots if slot.difference
        ]
        runs = {name: active_version(agent, MODEL) for name, agent in agents.items()}
        if runs == wanted and not differences:
            return
        if time.monotonic() > deadline:
            told = "; ".join(differences)
            raise DemoFailed(f"not every agent has its pair after {_PROVISIONED_WAIT_S:.0f} s: {told}")
        time.sleep(0.05)
