"""`upriver infer`: asks an agent about files."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from upriver.answer import Answer
from upriver.asking import AskOptions
from upriver.cli import options as opt
from upriver.cli.documents import answer_document, error_document
from upriver.cli.tables import print_table
from upriver.client import Client
from upriver.errors import UpriverError
from upriver.inputs import load_array

Outcome = Answer | list[Answer] | UpriverError

_JOBS = 4  # agents answer on two threads; a few more keep them busy while files are read


class ModeChoice(StrEnum):
    """What is wanted of the cascade."""

    AUTO = "auto"
    LOCAL = "local"
    TOP = "top"


def infer_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Images, or arrays as .npy.")],
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", "-a", metavar="HOST:PORT", help="Agents, in order of preference; may be repeated."),
    ] = None,
    mode: Annotated[
        ModeChoice, typer.Option(help="auto: up when unsure. local: never. top: the highest tier answers.")
    ] = ModeChoice.AUTO,
    max_tier: Annotated[str | None, typer.Option(metavar="TIER", help="The highest tier that may be asked.")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Be at least this sure, or ask upstream.")
    ] = None,
    version: Annotated[str, typer.Option("--model-version", metavar="VERSION", help="Not the agent's choice.")] = "",
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Ask an agent about files, each a question, and print who answered and why.

    A file is sent as the model wants it: encoded images as they are, or decoded, converted and resized to its pixels;
    `.npy` files hold arrays, one question or a batch. A file that fails is told in its place, the others go on, and the
    exit status is 1.

    ```console
    upriver infer digits seven.png
    upriver infer digits scans/*.png --agent 10.0.0.7:8470 --agent 10.0.0.8:8470
    upriver infer digits seven.png --min-confidence 0.99 --max-tier far-edge
    upriver infer digits scans/*.png --json | jq '.[] | select(.resolved == false) | .file'
    ```
    """
    asking: AskOptions = {
        "mode": mode.value,
        "max_tier": max_tier,
        "min_confidence": min_confidence,
        "version": version,
        "timeout": timeout,
    }
    secured = opt.tls_files(tls, ca, certificate, key, server_name)
    with Client(agent or [opt.DEFAULT_AGENT], tls=secured, timeout=timeout) as client:
        client.metadata(model, version)  # an unknown model or no agent at all is told once, not per file
        outcomes = list(_with_progress(_ask_all(client, model, files, asking), len(files)))
    if as_json:
        documents = [entry for file, outcome in outcomes for entry in _documents(file, outcome)]
        typer.echo(json.dumps(documents, allow_nan=False, ensure_ascii=False, indent=2))
    else:
        _print(outcomes)
    if any(isinstance(outcome, UpriverError) for _, outcome in outcomes):
        raise typer.Exit(1)


def _ask_all(client: Client, model: str, files: Sequence[Path], asking: AskOptions) -> Iterator[tuple[Path, Outcome]]:
    def ask(file: Path) -> Outcome:
        try:
            return client.infer(model, load_array(file) if file.suffix == ".npy" else file, **asking)
        except UpriverError as error:
            return error

    with ThreadPoolExecutor(_JOBS, thread_name_prefix="upriver-infer") as pool:
        yield from zip(files, pool.map(ask, files), strict=True)


def _with_progress(outcomes: Iterator[tuple[Path, Outcome]], count: int) -> Iterator[tuple[Path, Outcome]]:
    console = Console(stderr=True)
    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=count < 2 or not console.is_terminal) as progress:
        task = progress.add_task("asking", total=count)
        for outcome in outcomes:
            progress.advance(task)
            yield outcome


def _documents(file: Path, outcome: Outcome) -> list[dict[str, object]]:
    if isinstance(outcome, UpriverError):
        return [{"file": str(file), "error": error_document(outcome)}]
    if isinstance(outcome, Answer):
        return [{"file": str(file), **answer_document(outcome)}]
    return [{"file": str(file), "row": row, **answer_document(answer)} for row, answer in enumerate(outcome)]


def _print(outcomes: Sequence[tuple[Path, Outcome]]) -> None:
    table = Table(box=None, pad_edge=False)
    ticketed = any(answer.ticket for _, outcome in outcomes for answer in _answers(outcome))
    headings = ("file", "answer", "confidence", "resolved", "tier", "path", "reason", "ms", "ticket")
    for heading in headings if ticketed else headings[:-1]:
        table.add_column(heading, justify="right" if heading in ("confidence", "ms") else "left", overflow="fold")
    errors: list[tuple[Path, UpriverError]] = []
    for file, outcome in outcomes:
        if isinstance(outcome, UpriverError):
            errors.append((file, outcome))
        for row, answer in enumerate(_answers(outcome)):
            cells = _cells(str(file) if isinstance(outcome, Answer) else f"{file}[{row}]", answer)
            table.add_row(*map(escape, cells if ticketed else cells[:-1]))
    if table.row_count:
        print_table(table)
    for file, error in errors:
        told = " ".join(str(error).split())
        typer.echo(f"upriver: {told if told.startswith(str(file)) else f'{file}: {told}'}", err=True)


def _answers(outcome: Outcome) -> Sequence[Answer]:
    if isinstance(outcome, UpriverError):
        return ()
    return (outcome,) if isinstance(outcome, Answer) else outcome


def _cells(name: str, answer: Answer) -> tuple[str, ...]:
    what = answer.label if answer.label is not None else "" if answer.index is None else str(answer.index)
    return (
        name,
        what or f"{len(answer.outputs)} outputs",
        "" if answer.confidence is None else f"{answer.confidence:.4f}",
        {True: "yes", False: "no", None: ""}[answer.resolved],
        answer.tier,
        " > ".join(answer.path),
        f"{answer.reason or ''}{' (degraded)' if answer.degraded else ''}",
        f"{answer.latency_s * 1000:.1f}",
        answer.ticket,
    )
