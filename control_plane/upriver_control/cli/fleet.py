"""`upriver fleet`: every agent, what it should run against what it says, and why they differ."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from upriver.cli.tables import print_table
from upriver.v1 import fleet_pb2 as pb
from upriver_control.cli.audits import audits_command, monitor_document
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.pooling import pooling_document
from upriver_control.cli.refined import refined_document
from upriver_control.telling import fleet as words
from upriver_control.telling.audits import told

SERVICE = pb.DESCRIPTOR.services_by_name["FleetService"]
_LIVE_ROWS = 30

app = typer.Typer(
    name="fleet",
    help="Every agent: what it should run, what it runs, and why they differ.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("audits")(audits_command)
Name = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
Select = Annotated[
    str, typer.Option("--selector", "-l", metavar="TERMS", help="Only those that match: tier=device,region=eu.")
]


@app.command("list")
def list_command(
    selector: Select = "",
    out_of_sync: Annotated[bool, typer.Option("--out-of-sync", help="Only those that are not as desired.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many.", min=1)] = 1000,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List agents.

    ```console
    upriver fleet list --selector tier=device --out-of-sync
    upriver fleet list --json | jq '.agents[] | select(.connected | not) | .name'
    ```
    """
    request = pb.ListAgentsRequest(selector=selector, out_of_sync=out_of_sync)
    with Connection(control_plane, token_file, ca) as connection:
        pages = list(connection.pages(SERVICE, "ListAgents", request, "agents", limit))
    agents, total = [agent for page in pages for agent in page.agents], pages[-1].total_size
    if as_json:
        typer.echo(json.dumps({"total": total, "agents": [document(agent) for agent in agents]}, indent=2))
    elif not agents:
        typer.echo("no agents are not as desired" if out_of_sync else "no agents match")
    else:
        print_table(_table(agents))
        if total > len(agents):
            typer.echo(f"{len(agents)} of {total}; --limit shows more")


@app.command("show")
def show_command(
    name: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show one agent: what it is, each slot as desired and as reported, why they differ and what it needs.

    ```console
    upriver fleet show till-17
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        request = pb.GetAgentRequest(name=f"agents/{name.removeprefix('agents/')}")
        agent = connection.call(SERVICE, "GetAgent", request).agent
    if as_json:
        typer.echo(json.dumps(document(agent), indent=2))
    else:
        Console().print(_details(agent))


@app.command("watch")
def watch_command(
    selector: Select = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Watch agents until Ctrl-C, those that are not as desired first. With --json every change is one line.

    ```console
    upriver fleet watch --selector tier=device
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        changes = connection.stream(SERVICE, "WatchAgents", pb.WatchAgentsRequest(selector=selector))
        console = Console()
        try:
            if as_json or not console.is_terminal:
                for answer in changes:
                    typer.echo(json.dumps(document(answer.agent)) if as_json else _line(answer.agent))
            else:
                _show_live(changes, console)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


@app.command("forget")
def forget_command(
    name: Name,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Forget an agent that is gone for good. One that is connected can't be forgotten.

    ```console
    upriver fleet forget till-17
    ```
    """
    agent = name.removeprefix("agents/")
    with Connection(control_plane, token_file, ca) as connection:
        connection.call(SERVICE, "DeleteAgent", pb.DeleteAgentRequest(name=f"agents/{agent}"))
    typer.echo(json.dumps({"forgotten": agent}) if as_json else f"forgot {agent}")


def document(agent: pb.Agent) -> dict[str, Any]:
    """An agent for programs."""
    hardware = agent.hardware
    return {
        "name": words.agent_id(agent),
        "tier": agent.tier,
        "region": agent.region,
        "labels": dict(agent.labels),
        "address": agent.address,
        "program_version": agent.program_version,
        "connected": agent.connected,
        "last_seen": words.seen(agent),
        "in_sync": agent.in_sync,
        "load": agent.load,
        "fetched": {
            "control_plane_bytes": agent.fetched_control_plane_bytes,
            "agent_bytes": agent.fetched_agent_bytes,
            "delta_saved_bytes": agent.delta_saved_bytes,
        },
        "hardware": {
            "machine": hardware.machine,
            "cores": hardware.cores,
            "memory_bytes": hardware.memory_bytes,
            "disk_budget_bytes": hardware.disk_budget_bytes,
            "runtime": hardware.runtime,
            "runtime_version": hardware.runtime_version,
        },
        "decisions": dict(agent.decisions),
        "pooling": pooling_document(agent.pooling) if agent.HasField("pooling") else None,
        "slots": [_slot_document(slot) for slot in agent.slots],
    }


def _slot_document(slot: pb.AgentSlot) -> dict[str, Any]:
    reported = slot.reported
    return {
        "model": slot.model,
        "desired": slot.desired.version if slot.HasField("desired") else None,
        "rollout": slot.rollout or None,
        "active": reported.active.version if reported.HasField("active") else None,
        "previous": reported.previous.version if reported.HasField("previous") else None,
        "candidate": reported.candidate.version if reported.HasField("candidate") else None,
        "state": words.state(reported),
        "failure": words.failure(reported),
        "difference": slot.difference,
        "different_for_s": slot.different_for.seconds if slot.difference else 0,
        "needs": slot.needs,
        "rows": reported.counters.rows,
        "escalated_rows": reported.counters.escalated_rows,
        "failures": reported.counters.failures,
        "stale": slot.stale,
        "refined": refined_document(reported.refined) if reported.HasField("refined") else None,
        "unrefined": reported.unrefined,
        "monitor": monitor_document(reported.monitor),
    }


def _table(agents: list[pb.Agent]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("agent", no_wrap=True)  # other commands want it, so on a narrow terminal the others give way
    for name in ("tier", "region", "seen", "runs", "difference", "for", "needs"):
        table.add_column(name)
    for agent in agents:
        different = words.different(agent)
        table.add_row(
            escape(words.agent_id(agent)),
            escape(agent.tier),
            escape(agent.region),
            "[green]connected[/]" if agent.connected else f"[yellow]{words.seen(agent)}[/]",
            escape(", ".join(words.runs(slot) for slot in agent.slots) or "-"),
            escape("; ".join(f"{slot.model}: {slot.difference}" for slot in different)),
            words.lasting(different),
            escape("; ".join(sorted({slot.needs for slot in different if slot.needs}))),
        )
    return table


def _details(agent: pb.Agent) -> RenderableType:
    about = Table(box=None, show_header=False, pad_edge=False)
    for name, value in words.about(agent):
        about.add_row(name, escape(value))
    table = Table(
        "model", "desired", "runs", "state", "rows", "difference", "for", "needs", "audits", box=None, pad_edge=False
    )
    for slot in agent.slots:
        reported = slot.reported
        cells = (slot.model, words.wanted(slot), words.answering(slot), words.state(reported))
        more = (str(reported.counters.rows), slot.difference or "as desired", words.lasting([slot]), slot.needs)
        table.add_row(*map(escape, (*cells, *more, told(reported.monitor))))
    stale = [Text(f"{slot.model}: its certificate is stale: {slot.stale}") for slot in agent.slots if slot.stale]
    learnt = [Text(f"{slot.model}: {line}") for slot in agent.slots if (line := words.refined(slot.reported))]
    return Group(Text(words.agent_id(agent), style="bold"), about, Text(), table, *stale, *learnt)


def _show_live(changes: Iterator[Any], console: Console) -> None:
    agents: dict[str, pb.Agent] = {}
    with Live(console=console, get_renderable=lambda: _overview(list(agents.values())), refresh_per_second=4):
        for answer in changes:
            agents[answer.agent.name] = answer.agent


def _overview(agents: list[pb.Agent]) -> RenderableType:
    ordered = sorted(agents, key=lambda agent: (agent.in_sync, agent.name))
    return Group(_table(ordered[:_LIVE_ROWS]), Text(words.counted(ordered), style="bold"))


def _line(agent: pb.Agent) -> str:
    different = "; ".join(f"{slot.model}: {slot.difference}" for slot in words.different(agent))
    where = "connected" if agent.connected else "not connected"
    runs = ", ".join(words.runs(slot) for slot in agent.slots) or "nothing"
    return f"{words.agent_id(agent)} {where}, runs {runs}{f' ({different})' if different else ''}"
