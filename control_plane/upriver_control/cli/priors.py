"""`upriver model prior`: gives a version what heads that are learnt on it start from."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from upriver.listing import PRIOR
from upriver_control.cli.connection import AsJson
from upriver_control.priors import Limits, make_prior


def prior_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A version's folder, with an embedding output.")],
    data: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="What it was trained on, with labels: a folder of .npz files, of images or of Parquet; or one file.",
        ),
    ],
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1.0, help="For running all of it.")] = 3600.0,
    memory_mib: Annotated[int, typer.Option(metavar="MIB", min=64, help="For running it.")] = 4096,
    as_json: AsJson = False,
) -> None:
    """Run a version over its training set and write `prior.npz` beside it, so that agents can learn on it.

    It is a part of the version: with it the version has another digest. Publish it then.

    ```console
    upriver model prior ./digits-v4 --data ./training
    upriver model publish ./digits-v4
    ```
    """
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("running it")
        made = make_prior(
            folder,
            data,
            lambda done, rows: progress.update(task, completed=done, total=rows),
            Limits(timeout, memory_mib),
        )
    path = folder / PRIOR
    if as_json:
        told = {"path": str(path), "samples": int(made.lessons), "embedding": made.width, "labels": list(made.labels)}
        typer.echo(json.dumps({**told, "size_bytes": path.stat().st_size}, indent=2))
    else:
        typer.echo(
            f"wrote {path}: {int(made.lessons):,} samples of {len(made.labels)} labels, an embedding of {made.width}, "
            f"{path.stat().st_size:,} bytes"
        )
