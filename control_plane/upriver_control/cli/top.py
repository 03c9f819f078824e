"""`upriver top`: the mesh at work, live."""

import json
import threading
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from upriver.errors import UpriverError
from upriver.v1 import mesh_pb2 as pb
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.messages import message_document
from upriver_control.cli.pressing import keys
from upriver_control.cli.top_views import changes, overview
from upriver_control.telling.strategies import read_span

SERVICE = pb.DESCRIPTOR.services_by_name["MeshService"]
_LOOK_S = 0.1
_AROUND = 8
"""Lines of the screen that are not agents."""

app = typer.Typer(
    name="top",
    help="The mesh at work, live: agents, rates, what goes up, alarms.",
    rich_markup_mode="markdown",
)


@app.callback()
def about() -> None:
    """The mesh at work, live: agents, rates, what goes up, alarms."""


@app.command("top")
def top_command(
    selector: Annotated[
        str, typer.Option("--selector", "-l", metavar="TERMS", help="Only agents that match: tier=device,region=eu.")
    ] = "",
    interval: Annotated[str, typer.Option("--interval", metavar="TIME", help="How often, 0.5s to 60s.")] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show every agent at work until q is pressed; in a pipe one line for each change, with --json one for each look.

    Rates are over the last minute. `up` is the share of rows that went up, `p95` the time that 95 of 100 runs of its
    models stayed within, `load` the share of its places for questions that are taken. Trouble is listed first.

    ```console
    upriver top
    upriver top --selector region=eu --interval 5s
    upriver top --once --json | jq '.agents[] | select(.alarms != []) | .agent'
    ```
    """
    request = pb.WatchMeshRequest(selector=selector, interval=read_span(interval, "--interval"), once=once)
    with Connection(control_plane, token_file, ca) as connection:
        console = Console()
        try:
            if as_json or not console.is_terminal:
                _print(connection, request, as_json)
            elif once:
                console.print(overview(next(iter(connection.stream(SERVICE, "WatchMesh", request))), 1000, ""))
            else:
                _show(connection, request, console)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _print(connection: Connection, request: pb.WatchMeshRequest, as_json: bool) -> None:
    said: dict[str, str] = {}
    for mesh in connection.stream(SERVICE, "WatchMesh", request):
        if as_json:
            typer.echo(json.dumps(message_document(mesh)))
            continue
        new = changes(said, mesh)
        said |= new
        for line in new.values():
            typer.echo(line)


class _Latest:
    """The newest mesh, followed on a thread of its own so that keys are heard meanwhile."""

    def __init__(self, connection: Connection, request: pb.WatchMeshRequest) -> None:
        self.mesh: pb.WatchMeshResponse | None = None
        self.error: UpriverError | None = None
        self.ended = threading.Event()
        self._connection, self._request = connection, request
        threading.Thread(target=self._follow, name="upriver-top", daemon=True).start()

    def _follow(self) -> None:
        try:
            for mesh in self._connection.stream(SERVICE, "WatchMesh", self._request):
                self.mesh = mesh
        except UpriverError as error:
            self.error = error
        finally:
            self.ended.set()


def _show(connection: Connection, request: pb.WatchMeshRequest, console: Console) -> None:
    latest = _Latest(connection, request)
    shown = None
    with keys() as key, Live(Text("asking the control plane"), console=console, screen=True) as live:
        while not latest.ended.is_set() and key(_LOOK_S) not in ("q", "Q"):
            mesh = latest.mesh
            if mesh is not None and mesh is not shown:
                live.update(overview(mesh, max(1, console.height - _AROUND), "q quits"), refresh=True)
                shown = mesh
    if latest.error is not None:
        raise latest.error
