"""`upriver region`: what the agents of a region have learnt, and the heads that came of it."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from upriver.cli.tables import print_table
from upriver.v1 import region_pb2 as pb
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile

SERVICE: Final = pb.DESCRIPTOR.services_by_name["RegionService"]
_SHOWN: Final = 19

app = typer.Typer(no_args_is_help=True, help="What the agents of a region have learnt, and the heads made of it.")
Model = Annotated[str, typer.Option("--model", metavar="MODEL", help="Only of this model.")]
Region = Annotated[str, typer.Option("--region", metavar="REGION", help="Only of this region.")]


@app.command("list")
def list_command(
    model: Model = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List what is pooled, by model, version and region.

    ```console
    upriver region list --model digits
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        found = _regions(connection, model)
    if as_json:
        typer.echo(json.dumps({"regions": [region_document(one) for one in found]}, indent=2))
    elif not found:
        typer.echo("no agent has told what it has learnt")
    else:
        print_table(_regions_table(found))


@app.command("show")
def show_command(
    region: Annotated[str, typer.Argument(metavar="REGION", help="The region.")],
    model: Model = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show what is pooled in a region and the heads that are, or were, tried there.

    ```console
    upriver region show north
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        found = [one for one in _regions(connection, model) if one.region == region]
        heads = _heads(connection, model, region)
    if as_json:
        told = {"regions": [region_document(one) for one in found], "heads": [head_document(one) for one in heads]}
        typer.echo(json.dumps(told, indent=2))
        return
    if not found and not heads:
        typer.echo(f"no agent of {region} has told what it has learnt")
        return
    print_table(_regions_table(found))
    if heads:
        print_table(_heads_table(heads))


@app.command("heads")
def heads_command(
    model: Model = "",
    region: Region = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List heads that are, or were, tried in regions, newest first, with what their tests said.

    ```console
    upriver region heads --model digits --region north
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        found = _heads(connection, model, region)
    if as_json:
        typer.echo(json.dumps({"heads": [head_document(one) for one in found]}, indent=2))
    elif not found:
        typer.echo("no head was tried in a region")
    else:
        print_table(_heads_table(found))


def region_document(one: pb.RegionSummary) -> dict[str, Any]:
    """A region for programs."""
    return {
        "model": one.model.removeprefix("models/"),
        "version_digest": one.version_digest,
        "region": one.region,
        "agents": one.agents,
        "lessons": one.lessons,
        "forgotten": one.forgotten,
        "embedding": one.embedding,
        "attempts": one.attempts,
        "head_digest": one.head_digest,
        "scope": one.scope,
    }


def head_document(one: pb.RegionHead) -> dict[str, Any]:
    """A head for programs."""
    return {
        "model": one.model.removeprefix("models/"),
        "version": one.version,
        "region": one.region,
        "scope": one.scope,
        "head_digest": one.head_digest,
        "state": one.state,
        "reason": one.reason,
        "lessons": one.lessons,
        "agents": one.agents,
        "created": datetime.fromtimestamp(one.create_time.seconds, UTC).isoformat(),
        "head_bytes": one.head_size_bytes,
        "delta_bytes": one.delta_size_bytes,
        "epsilon": one.epsilon,
        "delta": one.delta,
        "attempt": one.attempt,
        "questions": one.questions,
        "counted_by": one.counted_by,
        "losses": one.losses,
        "coverage": one.coverage,
        "gained": one.gained,
        "given_up": one.given_up,
        "policy": one.policy,
        "rollouts": list(one.rollouts),
    }


def _regions(connection: Connection, model: str) -> list[pb.RegionSummary]:
    request = pb.ListRegionsRequest(model=_name(model))
    return list(connection.call(SERVICE, "ListRegions", request).regions)


def _heads(connection: Connection, model: str, region: str) -> list[pb.RegionHead]:
    request = pb.ListRegionHeadsRequest(model=_name(model), region=region)
    return list(connection.call(SERVICE, "ListRegionHeads", request).heads)


def _name(model: str) -> str:
    return f"models/{model.removeprefix('models/')}" if model else ""


def _regions_table(regions: list[pb.RegionSummary]) -> Table:
    table = Table("model", "version", "region", "agents", "lessons", "tests", "head")
    for one in regions:
        head = f"{one.head_digest[:_SHOWN]} ({one.scope or 'not made here'})" if one.head_digest else "-"
        table.add_row(
            escape(one.model.removeprefix("models/")),
            one.version_digest[:_SHOWN],
            escape(one.region),
            str(one.agents),
            f"{one.lessons:.0f}",
            str(one.attempts),
            head,
        )
    return table


def _heads_table(heads: list[pb.RegionHead]) -> Table:
    table = Table("head", "region", "of", "state", "lessons", "losses", "coverage", "gained", "change", "policy", "why")
    for one in heads:
        tested = one.attempt > 0
        table.add_row(
            one.head_digest[:_SHOWN],
            escape(one.region),
            escape(one.scope),
            escape(one.state),
            f"{one.lessons:.0f}",
            f"{one.losses} of {one.questions}" if tested else "-",
            f"{one.coverage:.1%}" if tested else "-",
            f"{one.gained} - {one.given_up}" if tested else "-",
            f"{one.delta_size_bytes} B" if one.delta_size_bytes else f"{one.head_size_bytes} B, whole",
            escape(one.policy or "-"),
            escape(one.reason),
        )
    return table
