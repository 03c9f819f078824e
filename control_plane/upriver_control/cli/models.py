"""`upriver model`: publishes versions, shows and compares them, and moves aliases."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from upriver.cli.tables import print_table
from upriver.errors import ConfigError
from upriver.v1 import registry_pb2 as pb
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.model_views import differences, model_document, print_version, version_document
from upriver_control.cli.priors import prior_command
from upriver_control.cli.publishing import Publication, publish
from upriver_control.cli.training import upload_sources

SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"]

app = typer.Typer(
    name="model",
    help="Models and their versions: look at them before an agent serves them, publish them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("prior")(prior_command)
VersionName = Annotated[
    str, typer.Argument(metavar="MODEL/VERSION", help="A version; MODEL/@ALIAS is the one that an alias points at.")
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")]


@app.command("create")
def create_command(
    model: ModelName,
    description: Annotated[str, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.")] = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Make a model; publishing a version makes one too.

    ```console
    upriver model create digits --description "Handwritten digits"
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        made = connection.call(
            SERVICE, "CreateModel", pb.CreateModelRequest(model_id=model, description=description)
        ).model
    _tell(model_document(made), f"{made.name} is there", as_json)


@app.command("publish")
def publish_command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A version (folder, .zip, .tar.gz); or, with --manifest, a Keras file, a SavedModel or an ONNX file.",
        ),
    ],
    parent: Annotated[
        str, typer.Option(metavar="VERSION", help="The version that it was made from, of this model or MODEL/VERSION.")
    ] = "",
    training_data: Annotated[str, typer.Option(metavar="TEXT", help="Names the training data: a URL, a commit.")] = "",
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A figure of its training; may be repeated.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(metavar="ALIAS", help="Point this alias at it; may be repeated.")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Inputs (.npz, arrays inputs/NAME) whose outputs become golden samples."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The manifest of a model that is to be converted.")
    ] = None,
    quantise: Annotated[
        str, typer.Option(metavar="HOW", help="How to convert: float, dynamic-range, int8, or best.")
    ] = "best",
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its Keras model, .keras, kept beside it to train from.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Questions with labels that whoever trains from it must not forget."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="For the upload and the control plane's trial.")
    ] = 600.0,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Upload a version; the control plane tries it, signs it and publishes it.

    Publishing the same content again changes nothing. Another content under a published name is refused.

    ```console
    upriver model publish build/digits-v7 --parent v6 --metric accuracy=0.987 --alias champion
    upriver model publish build/digits-v7 --samples golden-inputs.npz
    upriver model publish digits.keras --manifest manifest.toml --samples samples.npz --quantise int8
    upriver model publish build/digits-v7 --source digits.keras --replay train.npz
    ```
    """
    order = Publication(
        path, parent, training_data, _metrics(metric or ()), tuple(alias or ()), samples, manifest, quantise, timeout
    )
    if source is None and path.suffix == ".keras":
        source = path  # it is what was converted
    if source is None and replay is not None:
        raise ConfigError("upriver model publish", ["--replay goes with --source"])
    console = Console(stderr=True, quiet=as_json)
    with Connection(control_plane, token_file, ca) as connection:
        version, created, conversion = publish(connection, order, console)
        upload_sources(connection, version.name, source, replay)
    if as_json:
        told = {"created": created, "version": version_document(version)}
        typer.echo(json.dumps(told | ({"conversion": conversion} if conversion else {}), indent=2))
        return
    print_version(version, Console())
    typer.echo("published" if created else "was published already: nothing changed")


@app.command("list")
def list_command(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="List its versions instead of models.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many.", min=1)] = 100,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List models, or one model's versions, newest first.

    ```console
    upriver model list
    upriver model list digits --json | jq -r '.versions[].name'
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        if model:
            of_model = pb.ListVersionsRequest(parent=f"models/{model}")
            pages = connection.pages(SERVICE, "ListVersions", of_model, "versions", limit)
            versions = [version for page in pages for version in page.versions]
            documents = {"versions": [version_document(version) for version in versions]}
            table = _version_table(versions)
        else:
            pages = connection.pages(SERVICE, "ListModels", pb.ListModelsRequest(), "models", limit)
            models = [one for page in pages for one in page.models]
            documents = {"models": [model_document(one) for one in models]}
            table = _model_table(models)
    if as_json:
        typer.echo(json.dumps(documents, indent=2))
    elif table.row_count:
        print_table(table)
    else:
        typer.echo("there are no versions" if model else "there are no models; upriver model publish makes one")


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(metavar="MODEL[/VERSION]", help="A model, a version or MODEL/@ALIAS.")],
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show a model with its aliases, or a version: files, what a device needs, lineage, what its trial found.

    ```console
    upriver model show digits
    upriver model show digits/@champion
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        if "/" in name:
            version = _version(connection, name)
            if as_json:
                typer.echo(json.dumps(version_document(version), indent=2))
            else:
                print_version(version, Console())
            return
        model = connection.call(SERVICE, "GetModel", pb.GetModelRequest(name=f"models/{name}")).model
    lines = [model.name, model.description, *(f"@{alias}  {model.aliases[alias]}" for alias in sorted(model.aliases))]
    _tell(model_document(model), "\n".join(filter(None, lines)), as_json)


@app.command("diff")
def diff_command(
    old: VersionName,
    new: VersionName,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions: files and sizes, manifests, operators, what a device needs, policy, lineage, metrics.

    ```console
    upriver model diff digits/@champion digits/v7
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        found = differences(connection, _version(connection, old), _version(connection, new))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found["changed"]:
        typer.echo("they are the same")
        return
    table = Table("", escape(old), escape(new), box=None, pad_edge=False)
    for what, (before, after) in found["changed"].items():
        table.add_row(what, escape(_text(before)), escape(_text(after)))
    print_table(table)
    for line in found["manifest"]:
        Console().print(line, markup=False, soft_wrap=True, style=_STYLES.get(line[:1]))


@app.command("alias")
def alias_command(
    model: ModelName,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="For example champion.")],
    version: Annotated[str, typer.Argument(metavar="[VERSION]", help="The version that it is to point at.")] = "",
    delete: Annotated[bool, typer.Option("--delete", help="Remove the alias instead.")] = False,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias at a version, or remove it. It moves no agent: rollouts do.

    ```console
    upriver model alias digits champion v7
    upriver model alias digits candidate --delete
    ```
    """
    if bool(version) == delete:
        raise ConfigError("upriver model alias", ["give either a version or --delete"])
    parent = f"models/{model}"
    with Connection(control_plane, token_file, ca) as connection:
        if delete:
            request: Any = pb.DeleteAliasRequest(parent=parent, alias=alias)
            changed = connection.call(SERVICE, "DeleteAlias", request).model
        else:
            request = pb.SetAliasRequest(parent=parent, alias=alias, version_id=version)
            changed = connection.call(SERVICE, "SetAlias", request).model
    _tell(model_document(changed), f"@{alias} is gone" if delete else f"@{alias} is {version}", as_json)


@app.command("delete")
def delete_command(
    name: Annotated[str, typer.Argument(metavar="MODEL[/VERSION]", help="A version, or a model without versions.")],
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Delete a version that no alias, rollout or agent needs, or a model that has no versions.

    ```console
    upriver model delete digits/v3
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        if "/" in name:
            connection.call(SERVICE, "DeleteVersion", pb.DeleteVersionRequest(name=_resource(name)), 60.0)
        else:
            connection.call(SERVICE, "DeleteModel", pb.DeleteModelRequest(name=f"models/{name}"))
    typer.echo(f"{name} is deleted")


_STYLES = {"+": "green", "-": "red"}


def _resource(name: str) -> str:
    """`models/{model}/versions/{version}` of MODEL/VERSION, or of that itself."""
    if name.startswith("models/"):
        return name
    model, _, version = name.partition("/")
    return f"models/{model}/versions/{version}"


def _version(connection: Connection, name: str) -> pb.Version:
    found: pb.Version = connection.call(SERVICE, "GetVersion", pb.GetVersionRequest(name=_resource(name))).version
    return found


def _metrics(given: "list[str] | tuple[()]") -> dict[str, float]:
    metrics = {}
    for entry in given:
        name, _, value = entry.partition("=")
        try:
            metrics[name] = float(value)
        except ValueError as error:
            raise ConfigError("upriver model publish", [f"--metric {entry!r}: expected NAME=NUMBER"]) from error
    return metrics


def _tell(document: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(document, indent=2) if as_json else text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _model_table(models: list[pb.Model]) -> Table:
    table = Table("model", "aliases", "description", box=None, pad_edge=False)
    for model in models:
        aliases = ", ".join(f"@{alias} {model.aliases[alias]}" for alias in sorted(model.aliases))
        table.add_row(escape(model.name.removeprefix("models/")), escape(aliases), escape(model.description))
    return table


def _version_table(versions: list[pb.Version]) -> Table:
    table = Table("version", "aliases", "bytes", "ms", "golden", "published", "digest", box=None, pad_edge=False)
    for version in versions:
        table.add_row(
            escape(version.name.rpartition("/")[2]),
            escape(", ".join(f"@{alias}" for alias in version.aliases)),
            f"{sum(file.size_bytes for file in version.files):,}",
            f"{version.validation.invoke_ms:.3f}",
            str(version.validation.golden_rows or "-"),
            version.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M"),
            version.digest.removeprefix("sha256:")[:12],
        )
    return table
