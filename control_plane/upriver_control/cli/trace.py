"""`upriver trace`: one question over all agents as a tree with bars, or questions as they come."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Console

from upriver.errors import ConfigError, UpriverError
from upriver.v1 import question_pb2 as pb
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.messages import message_document
from upriver_control.cli.trace_views import line, whole

SERVICE = pb.DESCRIPTOR.services_by_name["QuestionService"]
LAST = "last"
_FLAG = "QUESTION_FLAG_"
_PIPED_WIDTH = 140
_LEAST_WIDTH = 60

app = typer.Typer(
    name="trace",
    help="One question over all agents: `upriver trace ID`, `upriver trace last`, `upriver trace --follow`.",
    rich_markup_mode="markdown",
)


@app.callback()
def about() -> None:
    """One question over all agents: `upriver trace ID`, `upriver trace last`, `upriver trace --follow`."""


@app.command("trace")
def trace_command(
    what: Annotated[
        str,
        typer.Argument(metavar="[ID|last]", help="A trace, or a question's, ticket's or lesson's id; the newest."),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show questions as they come, until Ctrl-C.")] = False,
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="Of this model.")] = "",
    agent: Annotated[str, typer.Option("--agent", metavar="AGENT", help="That went through this agent.")] = "",
    tier: Annotated[str, typer.Option("--tier", metavar="TIER", help="That went through this tier.")] = "",
    region: Annotated[str, typer.Option("--region", metavar="REGION", help="That went through this region.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="REASON", help="That ended for it.")] = "",
    flag: Annotated[
        list[str] | None,
        typer.Option("--flag", metavar="FLAG", help="That was escalated, degraded, unresolved, failed, ticketed, ..."),
    ] = None,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show who answered a question and why: every agent that it went through, on one time axis.

    A line is a span; its bar says when it ran. A hop's `[███ |  ]` is how sure that agent was, the mark what it takes:
    left of the mark the question goes up. What came of the question later (a late answer, a promotion) stands below.

    ```console
    upriver trace last                        the newest question that is kept
    upriver trace 4a38cd47e10fa759e1059be4b05c73ed     answer.trace_id, or a ticket's id
    upriver trace --follow --flag degraded    one line for each, as they come
    upriver trace last --model digits         the newest of these
    upriver trace last --follow               the tree of each
    upriver trace last --json | jq '.hops[] | {agent, score, threshold, reason}'
    ```

    Questions that an agent answered by itself are kept only in part: `telemetry.sample_rate` says how many.
    """
    if not what and not follow:
        raise ConfigError("upriver trace", ["expected a trace's or question's id, `last`, or --follow"])
    if what and follow and what != LAST:
        raise ConfigError("upriver trace", [f"{what!r} --follow: expected --follow alone, or with `last`"])
    wanted = pb.QuestionFilter(
        model=model, agent=agent, tier=tier, region=region, reason=reason, flags=_flags(flag or ())
    )
    if what != LAST and not follow and wanted.ListFields():
        told = "--model, --agent, --tier, --region, --reason and --flag: expected with `last` or --follow"
        raise ConfigError("upriver trace", [told])
    with Connection(control_plane, token_file, ca) as connection:
        try:
            if not follow:
                _show(connection, _newest(connection, wanted) if wanted.ListFields() else what, as_json)
                return
            for question in _new(connection, wanted):
                if what:
                    _show(connection, question.trace, as_json, compact=True)
                else:
                    typer.echo(json.dumps(message_document(question)) if as_json else line(question))
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _show(connection: Connection, trace: str, as_json: bool, compact: bool = False) -> None:
    answer = connection.call(SERVICE, "GetTrace", pb.GetTraceRequest(trace=trace))
    if as_json:
        typer.echo(json.dumps(message_document(answer), indent=None if compact else 2))
        return
    console = Console() if Console().is_terminal else Console(width=_PIPED_WIDTH)
    console.print(whole(answer, max(_LEAST_WIDTH, console.width)), soft_wrap=False)
    if compact:
        console.print()


def _newest(connection: Connection, wanted: pb.QuestionFilter) -> str:
    """The trace of the newest question that is asked for; raises UpriverError where none is kept."""
    request = pb.ListQuestionsRequest(filter=wanted, page_size=1)
    for question in connection.call(SERVICE, "ListQuestions", request).questions:
        return str(question.trace)
    raise UpriverError("no question is kept that is asked for: with fewer filters there may be one")


def _new(connection: Connection, wanted: pb.QuestionFilter) -> Iterator[pb.Question]:
    """Questions as they come, oldest first; says how many there were too many of."""
    for answer in connection.stream(SERVICE, "WatchQuestions", pb.WatchQuestionsRequest(filter=wanted)):
        if answer.skipped:
            typer.echo(f"{answer.skipped} more came and are not shown", err=True)
        yield from reversed(answer.questions)


def _flags(names: Sequence[str]) -> list[str]:
    """Flags as the protocol names them; raises ConfigError."""
    known = [name.removeprefix(_FLAG).lower() for name, flag in pb.QuestionFlag.items() if flag]
    for name in names:
        if name not in known:
            raise ConfigError("upriver trace", [f"--flag {name!r}: expected one of {', '.join(known)}"])
    return [_FLAG + name.upper() for name in names]
