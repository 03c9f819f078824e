"""The mesh on the terminal: a table of agents, and a line for each that has changed. Pure."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from upriver.v1 import mesh_pb2 as pb
from upriver_control.cli.trace_tree import clean
from upriver_control.spans.why import duration
from upriver_control.telling.mesh import is_grave, runs, troubles

_COLUMNS = (
    ("agent", "left"), ("tier", "left"), ("region", "left"), ("rows/s", "right"), ("up", "right"), ("p95", "right"),
    ("load", "right"), ("runs", "left"), ("asked, last minute", "left"), ("trouble", "left"),
)  # fmt: skip


def overview(mesh: pb.WatchMeshResponse, rows: int, hint: str) -> RenderableType:
    """Agents, those in trouble first and then by tier; at most `rows` of them, the others counted."""
    ordered = in_order(mesh)
    table = Table(box=None, pad_edge=False)
    for name, justify in _COLUMNS:
        table.add_column(name, justify="left" if justify == "left" else "right", no_wrap=name == "agent")
    asked = _asked(mesh.edges)
    for agent in ordered[:rows]:
        wrong = troubles(agent)
        style = "red" if is_grave(agent) else "yellow"
        table.add_row(
            escape(clean(agent.agent)),
            *(escape(clean(cell)) for cell in _figures(agent)),
            escape(clean(runs(agent))),
            escape(clean(asked.get(agent.agent, ""))),
            f"[{style}]{escape(clean('; '.join(wrong)))}[/]" if wrong else "",
        )
    more = [Text(f"and {len(ordered) - rows} more", style="dim")] if len(ordered) > rows else []
    unknown = [Text(clean(f"missing: {what}"), style="yellow") for what in mesh.missing]
    return Group(Text(summary(mesh), style="bold"), Text(), table, *more, *unknown, Text(), Text(hint, style="dim"))


def summary(mesh: pb.WatchMeshResponse) -> str:
    """All agents in one line."""
    agents = mesh.agents
    connected = sum(agent.connected for agent in agents)
    alarms = sum(len(agent.alarms) for agent in agents)
    touched = sum(agent.rows_per_s for agent in agents)
    calls, failed = sum(edge.escalations for edge in mesh.edges), sum(edge.failed for edge in mesh.edges)
    parts = [
        f"{mesh.time.ToDatetime():%H:%M:%S} UTC",
        f"{connected} of {len(agents)} agents connected",
        f"{touched:.1f} rows/s at all of them",
        f"{calls:,} calls up in the last minute" + (f", {failed:,} failed" if failed else ""),
        f"{alarms} alarms" if alarms != 1 else "1 alarm",
    ]
    return ", ".join(parts)


def changes(before: Mapping[str, str], mesh: pb.WatchMeshResponse) -> dict[str, str]:
    """What is to be said of each agent, of those alone of which something else was said before; gone ones too."""
    now = {agent.agent: line(agent) for agent in in_order(mesh)}
    gone = {agent: f"{clean(agent)} is gone" for agent in before if agent not in now and not _is_gone(before[agent])}
    return {agent: said for agent, said in now.items() if before.get(agent) != said} | gone


def line(agent: pb.MeshAgent) -> str:
    """An agent in one line."""
    tier, region, rate, up, p95, load = _figures(agent)
    wrong = f"; {'; '.join(troubles(agent))}" if troubles(agent) else ""
    return clean(
        f"{agent.agent} ({tier}, {region}): {rate} rows/s, {up} up, p95 {p95}, load {load}, runs {runs(agent)}{wrong}"
    )


def in_order(mesh: pb.WatchMeshResponse) -> list[pb.MeshAgent]:
    """Agents: alarms and lost ones, then other trouble, then the rest, each by tier from the bottom and by id."""
    place = {tier: index for index, tier in enumerate(mesh.tiers)}

    def key(agent: pb.MeshAgent) -> tuple[int, int, str]:
        grave = 0 if is_grave(agent) else 1 if troubles(agent) else 2
        return grave, place.get(agent.tier, len(place)), agent.agent

    return sorted(mesh.agents, key=key)


def _figures(agent: pb.MeshAgent) -> Sequence[str]:
    p95 = duration(agent.p95.ToNanoseconds()) if agent.HasField("p95") else "-"
    up = f"{agent.escalated_share:.0%}" if agent.rows_per_s else "-"
    return agent.tier, agent.region, f"{agent.rows_per_s:.1f}", up, p95, f"{agent.load:.0%}"


def _asked(edges: Sequence[pb.MeshEdge]) -> dict[str, str]:
    """Whom each agent asked, most asked first."""
    found: dict[str, list[pb.MeshEdge]] = {}
    for edge in edges:
        found.setdefault(edge.from_agent, []).append(edge)
    return {agent: ", ".join(map(_edge, sorted(own, key=lambda e: -e.escalations))) for agent, own in found.items()}


def _edge(edge: pb.MeshEdge) -> str:
    failed = f" ({edge.failed:,} failed)" if edge.failed else ""
    return f"{edge.to_agent} {edge.escalations:,}{failed}"


def _is_gone(said: str) -> bool:
    return said.endswith(" is gone")
