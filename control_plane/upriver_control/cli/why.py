"""`upriver why`: one paragraph that says who answered a question and why."""

import json
from typing import Annotated

import typer

from upriver.v1 import question_pb2 as pb
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.trace import SERVICE
from upriver_control.cli.trace_tree import clean

app = typer.Typer(
    name="why",
    help="Why a question was answered as it was, in plain words: `upriver why QUESTION`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def about() -> None:
    """Why a question was answered as it was, in plain words: `upriver why QUESTION`."""


@app.command("why", no_args_is_help=True)
def why_command(
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="A trace, or a question's, ticket's or lesson's id; or `last`.")
    ],
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Say who answered a question and why, in one paragraph.

    ```console
    upriver why last
    upriver why q-47ff9036c72de900-c90d68668774d4c4
    upriver why last --json | jq -r .why
    ```

    `upriver trace` draws the same question as a tree, with times.
    """
    with Connection(control_plane, token_file, ca) as connection:
        answer = connection.call(SERVICE, "GetTrace", pb.GetTraceRequest(trace=question))
    if as_json:
        asked = answer.question
        found = {"trace": asked.trace, "question": asked.question or None, "why": answer.why}
        typer.echo(json.dumps(found | {"missing": list(answer.missing)}, indent=2))
    else:
        typer.echo(clean(answer.why))
