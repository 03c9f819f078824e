"""`upriver model`: looks at models. Needs the `cli` extra, and a runtime to try a model on this machine."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from upriver_agent.inspection import Inspection, as_document, inspect
from upriver_agent.versions.model_file import ModelFile, ModelTensor

app = typer.Typer(
    name="model",
    help="Models and their versions: look at them before an agent serves them, publish them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_MIB = 1 << 20


class RuntimeChoice(StrEnum):
    """The runtimes that a model can be tried on."""

    AUTO = "auto"
    LITERT = "litert"
    TFLITE_RUNTIME = "tflite-runtime"


@app.callback()
def about() -> None:
    """Models and their versions: look at them before an agent serves them, publish them, name the best."""


@app.command("inspect")
def inspect_command(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A .tflite file, or a version: a folder, .zip or .tar.gz.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runtime: Annotated[RuntimeChoice, typer.Option(help="The runtime to try it on.")] = RuntimeChoice.AUTO,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1.0, help="Seconds that the trial may take.")] = 60.0,
) -> None:
    """Show what a model needs and whether this machine can run it.

    The file is read without running it; then a child process opens it and runs a few rows, so that a broken model
    can't do harm. Exit status 1 means that this machine can't serve it; the reasons are printed.

        upriver model inspect mobilenet.tflite
        upriver model inspect demo/models/device --json
    """
    found = inspect(path, runtime.value, timeout_s)
    if as_json:
        typer.echo(json.dumps(as_document(found), allow_nan=False, default=str))
    else:
        _print(found, Console())
    raise typer.Exit(0 if found.runs_here else 1)


def _print(found: Inspection, console: Console) -> None:
    version, model, report = found.version, found.model, found.report
    console.print(f"[bold]{escape(str(found.path))}[/bold]")
    if version is not None:
        manifest = version.manifest
        labels = f", {len(version.labels)} labels" if version.labels else ""
        console.print(f"version   {escape(f'{manifest.model}/{manifest.version}')}  {version.digest}", soft_wrap=True)
        console.print(
            f"task      {manifest.task.kind.value}{labels}, answers at score >= {manifest.policy.threshold:g}"
        )
    if model is not None:
        _print_model(model, console)
    if report is not None:
        console.print(
            f"[green]runs here[/green] on {report.runtime}: {report.invoke_ms:.3f} ms a row, one thread;"
            f" opened in {report.open_ms:.0f} ms, {report.peak_mib:.0f} MiB with Python and the runtime",
            soft_wrap=True,
        )
    for problem in found.problems:
        console.print(f"[red]problem[/red]   {escape(problem)}", soft_wrap=True)
    if found.learning:
        console.print(f"learning  {escape(found.learning)}", soft_wrap=True)


def _print_model(model: ModelFile, console: Console) -> None:
    memory = model.size_bytes + model.activation_bytes
    console.print(
        f"size      {model.size_bytes:,} bytes; about {_bytes(memory)} for weights and tensors with one row;"
        f" made for runtime {model.min_runtime or 'unknown'} or later",
        soft_wrap=True,
    )
    table = Table("", "name", "type", "shape", "quantised", box=None, pad_edge=False)
    for what, tensors in (("input", model.inputs), ("output", model.outputs)):
        for tensor in tensors:
            shape = ", ".join("any" if size == -1 else str(size) for size in tensor.signature)
            table.add_row(what, escape(tensor.name), tensor.dtype, f"[{shape}]".replace("[", "\\["), _quantised(tensor))
    console.print(table)
    for tensor in (*model.inputs, *model.outputs):
        units, labels = model.normalisation.get(tensor.index), model.labels.get(tensor.index)
        if units is not None:
            console.print(
                f"metadata  {escape(tensor.name)}: mean {list(units.mean)}, std {list(units.std)}", markup=False
            )
        if labels is not None:
            console.print(f"metadata  {tensor.name}: {len(labels)} labels", markup=False)
    operators = ", ".join(f"{name} x{count}" for name, count in model.operators.items())
    console.print(f"operators {operators}", markup=False, soft_wrap=True)


def _bytes(count: int) -> str:
    return f"{count / _MIB:.1f} MiB" if count >= _MIB else f"{count / 1024:.1f} KiB"


def _quantised(tensor: ModelTensor) -> str:
    return f"scale {tensor.scale:g}, zero point {tensor.zero_point}" if tensor.scale else "no"
