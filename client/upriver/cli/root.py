"""The root of the command line: its own commands, and groups of other packages, loaded when they are used."""

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from upriver.cli import agents, heads, infer, lessons, log_levels, tickets
from upriver.errors import ConfigError, ProblemList, UpriverError

GROUP = "upriver.commands"
_EXTRAS = {"upriver_agent": "agent", "upriver_control": "control-plane"}
_DISTRIBUTIONS = {"upriver_control": "upriver-control"}
"""Packages that are distributions of their own: an operator's commands need no more than these."""


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
        return _load(cmd_name, _found()[cmd_name])


class Partial(TyperGroup):
    """A group that several packages may add to. A command that is not here may be one of a package that is missing.

    A command that is called as its group is meant where none of the group's is named: `upriver train digits`.
    """

    missing: Sequence[tuple[str, str]] = ()
    """Why packages could not be loaded, and the extras that bring what they lack."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the name of the command that is meant where none is named."""
        own = self.name or ""
        if args and own in self.commands and not args[0].startswith("-") and args[0] not in self.commands:
            args = [own, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None when there is none."""
        own = super().get_command(ctx, cmd_name)
        return _stand_in(f"{self.name} {cmd_name}", *self.missing[0]) if own is None and self.missing else own


app = typer.Typer(
    name="upriver",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("infer")(infer.infer_command)
agents.app.command("log-level")(log_levels.log_level_command)
app.add_typer(agents.app)
app.add_typer(tickets.app)
for _name, _command in {
    "heads": heads.heads_command,
    "revert": heads.revert_command,
    "hold": heads.hold_command,
    "resume": heads.resume_command,
}.items():
    lessons.app.command(_name)(_command)
app.add_typer(lessons.app)


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
    upriver tickets list --state open   what an agent could not answer for sure
    upriver lessons stats               what it was told from above, and learns from
    upriver lessons heads               what it has made of that, and proven
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


def _found() -> dict[str, list[EntryPoint]]:
    """Groups by name. Several packages may add to one: their entries are called `name` and `name:what`."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        found.setdefault(entry.name.partition(":")[0], []).append(entry)
    return found


def _load(name: str, entries: Sequence[EntryPoint]) -> Any:
    """One group of all commands that could be loaded; the first entry says what the group is for.

    A group of one command that is called as it is that command.
    """
    loaded: list[Partial] = []
    missing: list[tuple[str, str]] = []
    for entry in entries:
        try:
            loaded.append(_group(name, entry.load()))
        except ModuleNotFoundError as error:
            package = entry.module.partition(".")[0]
            brings = f"upriver[{_EXTRAS.get(package, package)}]"
            missing.append((f"{error.name} is not installed", _DISTRIBUTIONS.get(error.name or "", brings)))
    if not loaded:
        return _stand_in(name, *missing[0])
    for other in loaded[1:]:
        loaded[0].commands.update(other.commands)
    loaded[0].missing = missing
    alone = list(loaded[0].commands) == [name] and not missing
    return loaded[0].commands[name] if alone else loaded[0]


def _group(name: str, made: typer.Typer) -> "Partial":
    # The root's completion serves all groups.
    holder = typer.Typer(add_completion=False, rich_markup_mode=made.rich_markup_mode)
    holder.add_typer(made, name=name, cls=Partial)
    groups: Any = typer.main.get_command(holder)
    group: Partial = groups.commands[name]
    return group


def _stand_in(name: str, problem: str, extra: str) -> Any:
    """A command in the place of a group that can't be loaded: it says why, whatever it is called with."""
    holder = typer.Typer(add_completion=False)
    anything = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    @holder.command(name, help=f"Not available: {problem}; install {extra}.", context_settings=anything)
    def tell() -> None:
        print(f"upriver {name}: {problem}; it comes with: pip install '{extra}'", file=sys.stderr)
        raise typer.Exit(1)

    return typer.main.get_command(holder)
