"""`upriver train`: whole models, trained from what their agents had to ask."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from upriver.cli.tables import print_table
from upriver.errors import ConfigError
from upriver.v1 import train_pb2 as pb
from upriver_control.cli import policy_options
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.train_documents import training_document
from upriver_control.cli.train_views import lesson_table, print_training, training_table
from upriver_control.cli.training import SERVICE, WHAT, Follow, create, followed, upload_replay

app = typer.Typer(
    name="train",
    help="Train a model from lessons that agents handed up: `upriver train MODEL`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
Name = Annotated[str, typer.Argument(metavar="MODEL/TRAINING", help="A training's name, as `upriver train` prints it.")]
_EXECUTORS = {"local": pb.TRAINING_EXECUTOR_LOCAL, "ray": pb.TRAINING_EXECUTOR_RAY}


@app.command("train")
def train_command(
    model: Model,
    base: Annotated[
        str, typer.Option(metavar="VERSION", help="Go on from this one; else from what the lowest tier runs.")
    ] = "",
    region: Annotated[str, typer.Option(metavar="REGION", help="Only lessons of this region.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Only lessons that came since so long ago: 7d.")] = "",
    executor: Annotated[str, typer.Option(metavar="local|ray", help="Where to train.")] = "local",
    ray_address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The Ray cluster; else the control plane's training.ray_address.")
    ] = "",
    code: Annotated[
        str,
        typer.Option(
            metavar="MODULE:FUNCTION", help="A function of your own, which the Python that trains can import."
        ),
    ] = "",
    replay: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Questions with labels that must not be forgotten; else its source's own."),
    ] = None,
    holdout: Annotated[str, typer.Option(metavar="SHARE", help="Lessons that are only evaluated on.")] = "20%",
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=NUMBER", help="epochs, learning_rate, batch, ...; may be repeated."),
    ] = None,
    quantise: Annotated[
        str, typer.Option(metavar="HOW", help="How to convert: float, dynamic-range, int8, or best.")
    ] = "best",
    max_loss: Annotated[
        str, typer.Option(metavar="SHARE", help="Calibrate it to lose at most so much; else as configured.")
    ] = "",
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="How certain that is to be.")] = "",
    rollout: Annotated[
        bool, typer.Option("--rollout", help="Send it to agents when it is better than what it was made from.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it and do not wait.")] = False,
    request_id: Annotated[str, typer.Option(metavar="ID", help="With the same id again it is the same one.")] = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Train a version from another and from lessons; publish, calibrate and roll it out. Ctrl-C leaves it running.

    ```console
    upriver train digits
    upriver train digits --region north --since 30d --rollout
    upriver train digits --executor ray --ray-address ray://head:10001 --code shop.training:train
    ```
    """
    model = model.removeprefix("models/")
    if executor not in _EXECUTORS:
        raise ConfigError(WHAT, [f"--executor {executor!r}: expected local or ray"])
    spec = pb.TrainingSpec(
        base_version=_version(base, model),
        region=region,
        executor=_EXECUTORS[executor],
        ray_address=ray_address,
        code=code,
        holdout=policy_options.share(holdout, "--holdout"),
        settings=_settings(setting or ()),
        rollout=rollout,
        quantise=quantise,
        max_loss=policy_options.max_loss(max_loss) if max_loss else 0.0,
        confidence=policy_options.confidence(confidence) if confidence else 0.0,
    )
    if since:
        spec.age.CopyFrom(policy_options.age(since, "--since"))
    console = Console(stderr=True, quiet=as_json)
    with Connection(control_plane, token_file, ca) as connection:
        if replay is not None:
            spec.replay_digest = upload_replay(connection, model, replay, console)
        made = create(connection, model, spec, request_id)
        if not detach:
            made = followed(connection, made, Follow(console))
    _show(made, as_json)


@app.command("watch")
def watch_command(
    training: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Follow a training that is under way, with its log, until it has ended."""
    with Connection(control_plane, token_file, ca) as connection:
        request = pb.GetTrainingRequest(name=_name(training))
        found = connection.call(SERVICE, "GetTraining", request).training
        found = followed(connection, found, Follow(Console(stderr=True, quiet=as_json)))
    _show(found, as_json)


@app.command("show")
def show_command(
    training: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a training is, or what came out of it."""
    with Connection(control_plane, token_file, ca) as connection:
        found = connection.call(SERVICE, "GetTraining", pb.GetTrainingRequest(name=_name(training))).training
    _show(found, as_json)


@app.command("cancel")
def cancel_command(
    training: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """End a training that has not ended; it makes no version unless that is being published at this moment."""
    with Connection(control_plane, token_file, ca) as connection:
        found = connection.call(SERVICE, "CancelTraining", pb.CancelTrainingRequest(name=_name(training))).training
    _show(found, as_json)


@app.command("list")
def list_command(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model's.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many.", min=1)] = 20,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List trainings, newest first."""
    request = pb.ListTrainingsRequest(parent=f"models/{model.removeprefix('models/') or '-'}")
    with Connection(control_plane, token_file, ca) as connection:
        pages = connection.pages(SERVICE, "ListTrainings", request, "trainings", limit)
        found = [one for page in pages for one in page.trainings]
    if as_json:
        typer.echo(json.dumps([training_document(one) for one in found], indent=2))
    elif found:
        print_table(training_table(found))
    else:
        typer.echo("no trainings yet; start one: upriver train MODEL")


@app.command("data")
def data_command(
    model: Model,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Tell which lessons of a model are here, by region and date, and where they are.

    ```console
    upriver train data digits
    ```
    """
    request = pb.SummarizeLessonsRequest(parent=f"models/{model.removeprefix('models/')}")
    with Connection(control_plane, token_file, ca) as connection:
        found = connection.call(SERVICE, "SummarizeLessons", request)
    if as_json:
        days = [
            {"region": one.region, "date": one.date, "lessons": one.lessons, "files": one.files,
             "bytes": one.size_bytes, "labels": dict(one.labels)}
            for one in found.summaries
        ]  # fmt: skip
        typer.echo(json.dumps({"url": found.url, "lessons": days}, indent=2))
    elif found.summaries:
        print_table(lesson_table(found.summaries))
        typer.echo(f"in {found.url}")
    else:
        typer.echo('no lessons; agents hand them up with learning.share = "inputs", where callers allow it')


def _show(training: pb.Training, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(training_document(training), indent=2))
    else:
        print_training(training)


def _name(text: str) -> str:
    """`digits/4` as a resource name; raises ConfigError."""
    if text.startswith("models/"):
        return text
    model, slash, training = text.partition("/")
    if not (model and slash and training):
        raise ConfigError(WHAT, [f"training {text!r}: expected MODEL/TRAINING"])
    return f"models/{model}/trainings/{training}"


def _version(text: str, model: str) -> str:
    if not text or text.startswith("models/"):
        return text
    return f"models/{model}/versions/{text.rpartition('/')[2]}"


def _settings(texts: list[str] | tuple[str, ...]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            equals = ""
        if not name or not equals:
            raise ConfigError(WHAT, [f"--set {text!r}: expected NAME=NUMBER, as epochs=10"])
    return found
