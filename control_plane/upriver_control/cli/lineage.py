"""`upriver lineage`: what a version was made of."""

import json
from typing import Annotated

import typer

from upriver.v1 import train_pb2 as pb
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.rollout_options import version_name
from upriver_control.cli.train_documents import lineage_document
from upriver_control.cli.train_views import print_lineage
from upriver_control.cli.training import SERVICE

app = typer.Typer(
    name="lineage",
    help="What a version was made of: `upriver lineage MODEL/VERSION`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def about() -> None:
    """What a version was made of: `upriver lineage MODEL/VERSION`."""


@app.command("lineage", no_args_is_help=True)
def lineage_command(
    version: Annotated[str, typer.Argument(metavar="MODEL/VERSION", help="A version; MODEL@ALIAS as well.")],
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show a version's parents, and the code, data, lessons and certificates of each.

    ```console
    upriver lineage digits/train-3f7cace1d0-0a1b2c3d
    upriver lineage digits@champion --json | jq '.[0].training.result.lessons_digest'
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        found = list(connection.call(SERVICE, "GetLineage", pb.GetLineageRequest(name=version_name(version))).ancestors)
    if as_json:
        typer.echo(json.dumps(lineage_document(found), indent=2))
    else:
        print_lineage(found)
