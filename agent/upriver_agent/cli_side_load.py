"""`upriver agent side-load`: takes versions in from a folder that was carried to the agent."""

import json
import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from upriver.errors import ConfigError, UpriverError
from upriver_agent.config import load_config
from upriver_agent.sections import AgentConfig


def side_load_command(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="What `upriver model export` wrote.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The agent's TOML file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take in versions from a folder, checked as if they came over the network; the agent may run meanwhile.

    Its `control_plane.root` must be the root that signed them. An assignment of such a version fetches nothing; without
    a control plane, name the printed folder as `path` in `[[models]]`.

    ```console
    upriver agent side-load /media/usb/models --config agent.toml
    ```
    """
    checked = _checked(config)
    try:
        from upriver_agent.trust.bundle import side_load  # --help needs none of the agent's packages
    except ModuleNotFoundError as error:
        _end(f"{error.name} is not installed; it needs: pip install 'upriver[agent,fleet]'", 1)
    try:
        taken = side_load(bundle, checked.agent.state_dir, checked.control_plane.root)
    except UpriverError as error:
        _end(" ".join(str(error).split()), 1)
    if as_json:
        rows = [{"name": one.name, "digest": one.digest, "folder": str(one.folder)} for one in taken]
        typer.echo(json.dumps({"versions": rows}))
        return
    for one in taken:
        typer.echo(f"{one.name}  {one.digest}\n  {one.folder}")


def _checked(config: Path | None) -> AgentConfig:
    try:
        checked = load_config(config, os.environ)
    except ConfigError as error:
        _end("; ".join(error.problems), 2)
    if not checked.control_plane.root:
        _end("control_plane.root is empty; set it to the fingerprint that `upriver-control keys show` prints", 2)
    return checked


def _end(problem: str, code: int) -> NoReturn:
    typer.echo(f"upriver agent side-load: {problem}", err=True)
    raise typer.Exit(code)
