"""`upriver rollout`: starts rollouts, shows and watches them, pauses them and sends their agents back."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from upriver.backoff import full_jitter_s
from upriver.cli.tables import print_table
from upriver.errors import Unreachable
from upriver.v1 import rollout_pb2 as pb
from upriver_control.cli import rollout_options as parts
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.rollout_views import document, line, listing, view
from upriver_control.telling.rollouts import state_name
from upriver_control.telling.strategies import FAILURE_LIMIT, MIN_SAMPLE, RINGS, SOAK, read_rings, read_share, read_span

SERVICE = pb.DESCRIPTOR.services_by_name["RolloutService"]
AWAY_S = 60.0
"""A watch goes on through an absence of the control plane of at most so long."""
_LONGEST_RETRY_S = 5.0

app = typer.Typer(
    name="rollout",
    help="Move agents to another version, in rings, and back when it is worse.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Name = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its name, as `start` and `list` print it.")]


@app.command("start")
def start_command(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="MODEL/VERSION or MODEL@ALIAS.")],
    selector: Annotated[
        str,
        typer.Option("--selector", "-l", metavar="TERMS", help="Which agents: tier=device,canary!=true. Empty: all."),
    ] = "",
    rings: Annotated[str, typer.Option(metavar="SIZES", help="Agents in all, ring by ring.")] = RINGS,
    max_unavailable: Annotated[int, typer.Option(metavar="N", help="Agents on their way at once; 0: any.", min=0)] = 0,
    soak: Annotated[str, typer.Option(metavar="TIME", help="How long a ring is watched before the next.")] = SOAK,
    failure_limit: Annotated[str, typer.Option(metavar="SHARE", help="Share of a ring that may fail.")] = FAILURE_LIMIT,
    min_sample: Annotated[
        int, typer.Option(metavar="N", help="Agents, or rows, from which gates judge a ring that is under way.", min=1)
    ] = MIN_SAMPLE,
    progress_deadline: Annotated[
        str, typer.Option(metavar="TIME", help="An agent that has not moved so long after it was told has failed.")
    ] = "10m",
    min_agreement: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Least agreement with the active pair, on shadowed rows.")
    ] = None,
    max_latency_ratio: Annotated[
        float | None, typer.Option(metavar="X", help="Highest p95 against agents that have not moved.")
    ] = None,
    max_escalation_increase: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Highest escalation rate above that of the others.")
    ] = None,
    shadow: Annotated[
        str, typer.Option(metavar="TIME", help="Run beside the active pair on live rows at most so long first.")
    ] = "0s",
    shadow_rows: Annotated[int, typer.Option(metavar="N", help="Or until so many rows were compared.", min=0)] = 0,
    threshold: Annotated[str | None, typer.Option(metavar="X", help="Another threshold than the manifest's.")] = None,
    temperature: Annotated[float | None, typer.Option(metavar="X", help="Another temperature.")] = None,
    policy: Annotated[
        str, typer.Option(metavar="POLICY", help="A policy of this version by name, as `upriver policy` prints it.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Watch it to its end, as `watch` does.")] = False,
    request_id: Annotated[
        str, typer.Option(metavar="ID", help="Started with the same id again, it is the same rollout.")
    ] = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Start a rollout. A newer one of the same model takes over from an older one that is under way.

    ```console
    upriver rollout start digits/3 --selector tier=device --wait
    upriver rollout start digits@champion --rings 1,25%,100% --soak 5m --failure-limit 2%
    upriver rollout start digits/3 --shadow 1m --shadow-rows 200 --min-agreement 95% --max-latency-ratio 1.5
    upriver rollout start digits/3 --threshold 0.95
    upriver rollout start digits/3 --policy 6a51cd6258f23e8a --selector tier=device
    ```
    """
    gates = pb.Gates(
        min_agreement=None if min_agreement is None else read_share(min_agreement, "--min-agreement"),
        max_latency_ratio=max_latency_ratio,
        max_escalation_increase=None
        if max_escalation_increase is None
        else read_share(max_escalation_increase, "--max-escalation-increase"),
    )
    strategy = pb.Strategy(
        rings=read_rings(rings),
        max_unavailable=max_unavailable,
        soak_time=read_span(soak, "--soak"),
        failure_limit=read_share(failure_limit, "--failure-limit"),
        min_sample=min_sample,
        progress_deadline=read_span(progress_deadline, "--progress-deadline"),
        gates=gates,
    )
    strategy.activation.shadow_time.CopyFrom(read_span(shadow, "--shadow"))
    strategy.activation.shadow_rows = shadow_rows
    strategy.activation.min_agreement = gates.min_agreement
    request = pb.CreateRolloutRequest(
        version=parts.version_name(version),
        policy_overrides=parts.policy_overrides(threshold, temperature),
        policy=parts.policy_name(policy) if policy else "",
        selector=selector,
        strategy=strategy,
        request_id=request_id or uuid.uuid4().hex,
    )
    with Connection(control_plane, token_file, ca) as connection:
        made = _patiently(connection, "CreateRollout", request).rollout
        if wait:
            _watch(connection, made.name, as_json)
        else:
            typer.echo(json.dumps(document(made)) if as_json else f"started {made.name}: {line(made)}")


@app.command("status")
def status_command(
    name: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show a rollout, its rings, and why agents failed.

    ```console
    upriver rollout status digits-5f0c2a7be1
    upriver rollout status digits-5f0c2a7be1 --json | jq .rings
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        request = pb.GetRolloutRequest(name=parts.rollout_name(name))
        rollout = connection.call(SERVICE, "GetRollout", request).rollout
    if as_json:
        typer.echo(json.dumps(document(rollout), indent=2))
    else:
        Console().print(view(rollout))


@app.command("list")
def list_command(
    model: Annotated[str, typer.Option(metavar="MODEL", help="Only those of this model.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many.", min=1)] = 20,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List rollouts, newest first.

    ```console
    upriver rollout list --model digits
    ```
    """
    request = pb.ListRolloutsRequest(model=f"models/{model.removeprefix('models/')}" if model else "")
    with Connection(control_plane, token_file, ca) as connection:
        pages = connection.pages(SERVICE, "ListRollouts", request, "rollouts", limit)
        found = [rollout for page in pages for rollout in page.rollouts]
    if as_json:
        typer.echo(json.dumps([document(rollout) for rollout in found], indent=2))
    elif found:
        print_table(listing(found))
    else:
        typer.echo("no rollouts yet; start one with: upriver rollout start MODEL/VERSION")


@app.command("watch")
def watch_command(
    name: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Watch a rollout until it ends. The exit status is 0 when it completed, and 1 when it ended otherwise.

    With --json every change is one line.

    ```console
    upriver rollout watch digits-5f0c2a7be1
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        _watch(connection, parts.rollout_name(name), as_json)


@app.command("pause")
def pause_command(
    name: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Move no further agents until it is resumed; a breach still sends the moved ones back."""
    request = pb.PauseRolloutRequest(name=parts.rollout_name(name))
    _change("PauseRollout", request, control_plane, token_file, ca, as_json)


@app.command("resume")
def resume_command(
    name: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a paused rollout."""
    request = pb.ResumeRolloutRequest(name=parts.rollout_name(name))
    _change("ResumeRollout", request, control_plane, token_file, ca, as_json)


@app.command("cancel")
def cancel_command(
    name: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """End a rollout where it is: agents that moved stay moved. To send them back, use `rollback`."""
    request = pb.CancelRolloutRequest(name=parts.rollout_name(name))
    _change("CancelRollout", request, control_plane, token_file, ca, as_json)


@app.command("rollback")
def rollback_command(
    name: Name,
    reason: Annotated[
        str, typer.Option("--reason", "-m", metavar="TEXT", help="Why, for those who read it later.")
    ] = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Send a rollout's agents back to what they ran before; also one that has completed.

    ```console
    upriver rollout rollback digits-5f0c2a7be1 --reason "sevens are read as ones"
    ```
    """
    request = pb.RollBackRolloutRequest(name=parts.rollout_name(name), reason=reason)
    _change("RollBackRollout", request, control_plane, token_file, ca, as_json)


def _change(method: str, request: Any, control_plane: str, token_file: TokenFile, ca: Ca, as_json: bool) -> None:
    with Connection(control_plane, token_file, ca) as connection:
        rollout = _patiently(connection, method, request).rollout
    typer.echo(json.dumps(document(rollout)) if as_json else line(rollout))


def _patiently(connection: Connection, method: str, request: Any) -> Any:
    """Asks once more when the control plane went away meanwhile: all of these may be repeated."""
    try:
        return connection.call(SERVICE, method, request)
    except Unreachable:
        return connection.call(SERVICE, method, request)


def _watch(connection: Connection, name: str, as_json: bool) -> None:
    console = Console()
    if as_json or not console.is_terminal:
        last = _print_changes(connection, name, as_json)
    else:
        last = _show_live(connection, name, console)
    if state_name(last) != "completed":
        raise typer.Exit(1)


def _print_changes(connection: Connection, name: str, as_json: bool) -> pb.Rollout:
    rollout, told = pb.Rollout(), ""
    for rollout in _changes(connection, name):
        text = json.dumps(document(rollout)) if as_json else line(rollout)
        if text != told:
            typer.echo(text)
            told = text
    return rollout


def _show_live(connection: Connection, name: str, console: Console) -> pb.Rollout:
    rollout = pb.Rollout()
    with Live(console=console, refresh_per_second=8) as live:
        for rollout in _changes(connection, name):
            live.update(view(rollout))
    return rollout


def _changes(connection: Connection, name: str) -> Iterator[pb.Rollout]:
    """The rollout whenever it changes, until its end, through short absences of the control plane."""
    request, revision, failures, since = pb.WatchRolloutRequest(name=name), -1, 0, time.monotonic()
    while True:
        try:
            for answer in connection.stream(SERVICE, "WatchRollout", request):
                failures, since = 0, time.monotonic()
                if answer.rollout.revision > revision:
                    revision = answer.rollout.revision
                    yield answer.rollout
            return
        except Unreachable:
            failures += 1
            if revision < 0 or time.monotonic() - since > AWAY_S:
                raise
        time.sleep(0.1 + full_jitter_s(failures, 0.2, _LONGEST_RETRY_S, random.random))
