"""`upriver-control`: runs a control plane, tells how agents join it, shows and replaces its keys."""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upriver.errors import ConfigError, ProblemList, UpriverError
from upriver_control.cli import keys

if TYPE_CHECKING:
    from upriver_control.config import ControlPlaneConfig

app = typer.Typer(
    name="upriver-control",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(keys.app, name="keys")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="TOML file; without it only UPRIVER_CONTROL_* variables count."
    ),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help='Written as JSON {"address", "pid", "fingerprint", "join"} once calls are answered.'
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def about() -> None:
    """Publish models, sign them, and roll them out to agents.

    ```console
    upriver-control run                 serve on 127.0.0.1:8480, with everything in ./upriver-control-state
    upriver-control join                what agents are configured with: [control_plane] join = "..."
    ```

    Operators then use `upriver model`, `upriver rollout` and `upriver fleet`, with the token that lies in the state
    folder: `export UPRIVER_TOKEN_FILE=upriver-control-state/operator-token`.
    """


@app.command("run")
def run_command(config: ConfigFile = None, ready_file: ReadyFile = None) -> None:
    """Serve until SIGTERM or Ctrl-C. At the first start, keys, tokens and the database are made.

    Every setting can be overridden by a variable, for scripts and containers:

    ```console
    UPRIVER_CONTROL_SERVER_LISTEN=127.0.0.1:9000 upriver-control run -c control.toml
    ```
    """
    from upriver_control.app import run  # --help answers at once

    raise typer.Exit(run(_loaded(config), ready_file))


@app.command("join")
def join_command(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print the text that agents join with; it holds a token, so treat it as one.

    An agent's configuration takes it as it is:

        [control_plane]
        join = "upriver://TOKEN@host:port?root=sha256:..."
    """
    from upriver_control.kept import join_text, tokens_of
    from upriver_control.trust.opening import repository_of

    loaded = _loaded(config)
    fingerprint = repository_of(loaded, time.time).open()
    _, join_token = tokens_of(loaded)
    text = join_text(loaded, join_token, fingerprint)
    typer.echo(json.dumps({"join": text, "fingerprint": fingerprint}) if as_json else text)


@app.command("check-config")
def check_config_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The control plane's TOML file.")],
    as_json: AsJson = False,
) -> None:
    """Say that a configuration can be used, or everything that is wrong with it (exit status 2)."""
    try:
        config = _loaded(file)
    except ConfigError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"ok": False, "problems": list(error.problems)}))
        raise typer.Exit(2) from error
    document = config.model_dump(mode="json")
    document["leader"] |= {"consul_token": "***" if config.leader.consul_token else ""}
    typer.echo(json.dumps({"ok": True, "config": document}) if as_json else json.dumps(document, indent=2))


def _loaded(config: Path | None) -> "ControlPlaneConfig":
    from upriver_control.config import load_config

    return load_config(config, os.environ)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line (none: the process's own) and gives its exit status; errors are one line on stderr.

    2 is a configuration that can't be used, 1 everything else that failed.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="upriver-control")
    except UpriverError as error:
        text = "; ".join(error.problems) if isinstance(error, ProblemList) else " ".join(str(error).split())
        print(f"upriver-control: {text}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0
