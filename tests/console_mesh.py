"""A mesh for the tests of what operators see: a control plane with its console, and four agents that were asked."""

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from tests.agent_process import AgentProcess, until
from tests.asking import question, send
from tests.control_plane_process import FREE_CONSOLE, TIERS, ControlPlaneProcess, control_plane, following
from tests.versions import make_version
from upriver.v1 import rollout_pb2, sync_pb2
from upriver_control.cli.connection import Connection
from upriver_control.cli.publishing import Publication, publish

MODEL, RIDDLE = "pattern", "riddle"
THRESHOLDS = {"device": 0.143, "far-edge": 0.138, "near-edge": 0.135, "cloud": 0.0}
"""Of the tiers' versions of `pattern`, by which some questions end on each; of `riddle` nobody is ever sure."""
NEXT = "device-2"
"""The version that is on its way to the device, in a rollout that stays in shadowing until somebody does something."""
_AGENT = '[telemetry]\nsample_rate = 1.0\n[tickets]\naccess = "network"\n[learning]\naccess = "network"\n'


@dataclass
class ConsoleMesh:
    """Everything that runs. `told` are the parameters of the responses to the questions that were asked, in order."""

    plane: ControlPlaneProcess
    agents: dict[str, AgentProcess]
    rollout: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def device(self) -> AgentProcess:
        return self.agents["device-1"]

    def ask(self, model: str = MODEL, **parameters: str) -> dict[str, Any]:
        """Asks the device something, and gives the response's parameters."""
        message = question(model)
        for name, value in parameters.items():
            message.parameters[f"upriver.{name}"].string_param = value
        told = told_by(send(self.device, message, timeout=60))
        self.told.append(told)
        return told

    def login(self, path: str = "/") -> str:
        """A link that logs in and goes to a page."""
        return f"{self.plane.console}/login?token={self.plane.token}&next={path}"


def told_by(response: Any) -> dict[str, Any]:
    """A response's parameters by their names without `upriver.`."""
    return {
        key.removeprefix("upriver."): getattr(value, value.WhichOneof("parameter_choice"))
        for key, value in response.parameters.items()
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def console_mesh(folder: Path, settings: str = FREE_CONSOLE) -> Iterator[ConsoleMesh]:
    """The mesh, provisioned and asked; `settings` are further sections of the control plane's configuration."""
    with (
        control_plane(folder / "control", settings) as plane,
        Connection(plane.address, plane.state / "operator-token") as operator,
        ExitStack() as agents,
        ThreadPoolExecutor(2) as pool,
    ):
        versions = _versions(folder)
        publications = {name: pool.submit(_publish, operator, path) for name, path in versions.items() if name != NEXT}
        mesh = ConsoleMesh(plane, _start(folder, plane, agents))
        names = {name: publication.result() for name, publication in publications.items()}
        names[NEXT] = _publish(operator, versions[NEXT], parent="device-1")
        _provision(mesh, names)
        _ask(mesh)
        yield mesh


def _start(folder: Path, plane: ControlPlaneProcess, agents: ExitStack) -> dict[str, AgentProcess]:
    return {
        f"{tier}-1": agents.enter_context(following(folder, plane, f"{tier}-1", tier, more=_AGENT)) for tier in TIERS
    }


def _provision(mesh: ConsoleMesh, names: Mapping[str, str]) -> None:
    """Brings every tier its versions, and begins a rollout that goes on for an hour."""
    with mesh.plane.stubs() as operator:
        for tier in TIERS:
            operator.start(names[tier], f"tier={tier}")
        operator.start(names[RIDDLE])

        def provisioned() -> bool:
            agents = operator.agents()
            slots = [slot for agent in agents.values() for slot in agent.slots]
            return len(slots) == 2 * len(TIERS) and all(
                slot.reported.active.version in names.values() and not slot.difference for slot in slots
            )

        until(provisioned, what="every agent to have its versions")
        strategy = rollout_pb2.Strategy(
            activation=sync_pb2.Activation(shadow_time=Duration(seconds=3600)),
            progress_deadline=Duration(seconds=7200),
        )
        mesh.rollout = operator.start(names[NEXT], "tier=device", strategy).name


def _ask(mesh: ConsoleMesh) -> None:
    """Asks until every tier has answered, then something that gets a ticket."""
    seen: set[str] = set()

    def everybody_answered() -> bool:
        seen.add(mesh.ask()["agent"])
        return len(seen) == len(TIERS)

    until(everybody_answered, what="a question that ends on each tier")
    mesh.told.clear()  # some were asked before every upstream was found
    for _ in range(40):
        mesh.ask()
    for _ in range(3):
        mesh.ask(RIDDLE)
    assert "ticket" in mesh.told[-1], mesh.told[-1]


def _publish(connection: Connection, folder: Path, parent: str = "") -> str:
    order = Publication(folder, parent, "", {}, (), None, None, "best", 120)
    return publish(connection, order, Console(quiet=True))[0].name


def _versions(folder: Path) -> dict[str, Path]:
    made = {tier: make_version(folder / tier, f"{tier}-1", threshold) for tier, threshold in THRESHOLDS.items()}
    made[NEXT] = make_version(folder, NEXT, 0.14)
    made[RIDDLE] = make_version(folder, "riddle-1", 2.0, model=RIDDLE)
    return made
