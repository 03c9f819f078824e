"""`upriver agent`: runs an agent, checks its configuration. Needs the `cli` extra; the agent itself does not.

`python -m upriver_agent` runs an agent where only the `agent` extra is installed.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from upriver.errors import ConfigError, UpriverError
from upriver_agent.cli_side_load import side_load_command
from upriver_agent.config import load_config
from upriver_agent.document import as_document
from upriver_agent.sections import AgentConfig

app = typer.Typer(
    name="agent",
    help="Run an agent, or check its configuration.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("side-load")(side_load_command)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="TOML file; without it only UPRIVER_* variables count."),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help='Written as JSON {"agent", "address", "pid"} once questions are answered.'),
]


@app.command("run")
def run_command(config: ConfigFile = None, ready_file: ReadyFile = None) -> None:
    """Serve the models of a configuration until SIGTERM or Ctrl-C, then finish what is being answered.

    Every setting can be overridden by a variable, for scripts and containers:

    ```console
    UPRIVER_AGENT_LISTEN=0.0.0.0:8470 upriver agent run --config agent.toml
    ```
    """
    checked = _loaded(config, as_json=False)
    try:
        from upriver_agent.app import (
            run,
        )  # --help and check-config answer at once and need none of the agent's packages
    except ModuleNotFoundError as error:
        typer.echo(
            f"upriver agent run: {error.name} is not installed; it needs: pip install 'upriver[agent]'", err=True
        )
        raise typer.Exit(1) from error

    try:
        code = run(checked, ready_file)
    except UpriverError as error:
        typer.echo(f"upriver agent: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(code)


@app.command("check-config")
def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The agent's TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the configuration as it takes effect, or everything that is wrong with it (exit status 2).

    Defaults are filled in, UPRIVER_* variables applied and paths made absolute; secrets show as `***`.
    """
    config = _loaded(file, as_json=as_json)
    document = as_document(config)
    typer.echo(json.dumps({"ok": True, "config": document}) if as_json else "\n".join(_toml(document)))


def _loaded(file: Path | None, *, as_json: bool) -> AgentConfig:
    try:
        return load_config(file, os.environ)
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problems": list(error.problems)}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _toml(document: Mapping[str, Any], table: str = "") -> Iterator[str]:
    # JSON's texts, numbers, lists and true/false are TOML's too; None does not occur.
    for key, value in document.items():
        if not _is_table(value):
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in document.items():
        name = f"{table}.{key}" if table else key
        if isinstance(value, Mapping):
            yield f"\n[{name}]"
            yield from _toml(value, name)
        elif _is_table(value):
            for entry in value:
                yield f"\n[[{name}]]"
                yield from _toml(entry, name)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))
