"""`upriver policy calibrations|result|cancel`: calibrations that were started, how far they are, what came out."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from upriver.cli.tables import print_table
from upriver.errors import DiskTrouble
from upriver.v1 import policy_pb2 as pb
from upriver_control.cli import policy_options as parts
from upriver_control.cli.calibrating import SERVICE
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.policy_documents import calibration_document
from upriver_control.cli.policy_plot import as_svg
from upriver_control.cli.policy_views import calibration_table, print_result
from upriver_control.telling.paths import drawing_of
from upriver_control.telling.policies import state_name

Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE.svg", help="Draw the path into a file as well.")]


def calibrations_command(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model's.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many.", min=1)] = 20,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List calibrations, newest first: how far they are, and why they ended.

    ```console
    upriver policy calibrations digits
    ```
    """
    request = pb.ListCalibrationsRequest(parent=f"models/{model.removeprefix('models/') or '-'}")
    with Connection(control_plane, token_file, ca) as connection:
        pages = connection.pages(SERVICE, "ListCalibrations", request, "calibrations", limit)
        found = [one for page in pages for one in page.calibrations]
    if as_json:
        typer.echo(json.dumps([calibration_document(one) for one in found], indent=2))
    elif found:
        print_table(calibration_table(found))
    else:
        typer.echo("no calibrations yet; start one: upriver policy calibrate MODEL --data PATH --max-loss 0.5%")


def result_command(
    calibration: Annotated[
        str, typer.Argument(metavar="MODEL/CALIBRATION", help="A calibration's name, as calibrate prints it.")
    ],
    plot: Plot = None,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a calibration is, or what came out of it.

    ```console
    upriver policy result digits/3f7cace1d0 --plot path.svg
    ```
    """
    drawn = parts.plot_file(plot)
    with Connection(control_plane, token_file, ca) as connection:
        request = pb.GetCalibrationRequest(name=parts.calibration_name(calibration))
        found = connection.call(SERVICE, "GetCalibration", request).calibration
    show(found, as_json, drawn)


def cancel_command(
    calibration: Annotated[
        str, typer.Argument(metavar="MODEL/CALIBRATION", help="A calibration's name, as calibrate prints it.")
    ],
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """End a calibration that has not ended; it makes no policies."""
    with Connection(control_plane, token_file, ca) as connection:
        request = pb.CancelCalibrationRequest(name=parts.calibration_name(calibration))
        found = connection.call(SERVICE, "CancelCalibration", request).calibration
    show(found, as_json, None)


def show(calibration: pb.Calibration, as_json: bool, plot: Path | None) -> None:
    """Prints a calibration, and draws its path where a file was named."""
    draw(calibration, plot)
    if as_json:
        typer.echo(json.dumps(calibration_document(calibration), indent=2))
    elif calibration.HasField("result"):
        print_result(calibration, terminal())
    else:
        told = calibration.doing or calibration.reason
        typer.echo(f"{calibration.name} {state_name(calibration)}, {100 * calibration.progress:.0f} %: {told}")


def terminal() -> Console:
    """What to print on; wide where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def draw(calibration: pb.Calibration, plot: Path | None) -> None:
    """Draws the path into a file, if one was named; raises DiskTrouble."""
    if plot is None:
        return
    try:
        plot.write_text(as_svg(drawing_of(calibration)), encoding="utf-8")
    except OSError as error:
        raise DiskTrouble(f"can't write {plot}: {error.strerror or error}") from error
