"""The root of the command line: its own commands, and groups of other packages, loaded when they are used."""

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from upriver.cli import agents, infer
from upriver.errors import ConfigError, ProblemList, UpriverError

GROUP = "upriver.commands"
_EXTRAS = {"upriver_agent": "agent", "upriver_control": "control-plane"}


class Root(TyperGroup):
    """Finds further groups through entry points. One whose package lacks a dependency says which extra brings it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, ours first."""
        return [*super().list_commands(ctx), *sorted(_found())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None when there is none."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in _found():
            return own
        return _load(_found()[cmd_name])


app = typer.Typer(
    name="upriver",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("infer")(infer.infer_command)
app.command("agents")(agents.agents_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"upriver {installed_version('upriver')}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Ask the nearest agent; it asks upstream when it is unsure.

    ```console
    upriver infer digits seven.png      ask an agent on this machine
    upriver agents                      who is there, from Consul
    upriver agent run -c agent.toml     be one
    ```

    Every command explains itself with `--help`, and prints JSON for programs with `--json`.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line (none: the process's own) and gives its exit status; errors are one line on stderr."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="upriver")
    except UpriverError as error:
        print(f"upriver: {one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def one_line(error: UpriverError) -> str:
    """An error's text without line breaks."""
    if isinstance(error, ProblemList):
        return "; ".join(error.problems)
    return " ".join(str(error).split())


def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(entry: EntryPoint) -> Any:
    try:
        group: typer.Typer = entry.load()
    except ModuleNotFoundError as error:
        package = entry.module.partition(".")[0]
        return _stand_in(entry.name, f"{error.name} is not installed", f"upriver[{_EXTRAS.get(package, package)}]")
    # The root's completion serves all groups.
    holder = typer.Typer(add_completion=False, rich_markup_mode=group.rich_markup_mode)
    holder.add_typer(group, name=entry.name)
    groups: Any = typer.main.get_command(holder)
    return groups.commands[entry.name]


def _stand_in(name: str, problem: str, extra: str) -> Any:
    """A command in the place of a group that can't be loaded: it says why, whatever it is called with."""
    holder = typer.Typer(add_completion=False)
    anything = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    @holder.command(name, help=f"Not available: {problem}; install {extra}.", context_settings=anything)
    def tell() -> None:
        print(f"upriver {name}: {problem}; it comes with: pip install '{extra}'", file=sys.stderr)
        raise typer.Exit(1)

    return typer.main.get_command(holder)
