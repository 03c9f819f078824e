"""What the picture of the mesh shows, as words and a table: for keys, screen readers, and whoever wants numbers."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from upriver.v1 import mesh_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing.mesh_layout import lay_out, natural, tiers
from upriver_control.console.drawing.svg import Child, Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling import mesh as telling

MAX_ROWS: Final = 200
_MAX_TROUBLES: Final = 12
_MAX_UPSTREAMS: Final = 3
_EXPLAINED: Final = (
    "Load is the share of places for requests that is taken now. Over the last minute: rows answered, the share of "
    "them that went up, what 95 of 100 runs of its models took at most, and how often it asked whom above."
)
_COLUMNS: Final = (
    "agent",
    Column("tier", narrow=False),
    Column("region", narrow=False),
    "state",
    Column("load", numbers=True, narrow=False),
    Column("runs", narrow=False),
    Column("rows/s, 1 min", numbers=True),
    Column("up, 1 min", numbers=True),
    Column("p95, 1 min", numbers=True, narrow=False),
    Column("asked above, 1 min", narrow=False),
    Column("asked of it", narrow=False),
)


def summary(mesh: pb.WatchMeshResponse) -> Markup:
    """How many there are, and who needs a look and why."""
    connected = sum(agent.connected for agent in mesh.agents)
    rows = sum(agent.rows_per_s for agent in mesh.agents if agent.connected)
    calls, failed = sum(edge.escalations for edge in mesh.edges), sum(edge.failed for edge in mesh.edges)
    at = f"{units.clock(mesh.time)} UTC" if mesh.HasField("time") else None
    return join(
        *(words.problem(f"Missing: {what}") for what in mesh.missing),
        words.facts(
            ("Agents", f"{units.count(len(mesh.agents))}, {units.count(connected)} connected"),
            ("Answered, last minute", f"{units.rate(rows)} rows"),
            ("Escalations, last minute", f"{units.count(calls)}, {units.count(failed)} of them failed"),
            ("As of", at),
        ),
        _needing(mesh.agents),
    )


def legend(mesh: pb.WatchMeshResponse) -> Markup:
    """How the picture is read, with its scale, and what it can't show."""
    layout = lay_out(mesh, 1000)
    most = max((edge.escalations for edge in layout.edges), default=0)
    silent = sum(agent.connected and not agent.sends_spans for agent in mesh.agents)
    lines = f"the widest is {units.count(most)}" if most else "there were none"
    parts = [
        "A circle is filled by the share of an agent's places for requests that is taken; its ring is whole where it "
        f"is connected. Lines are escalations of the last minute, as kept spans tell them: {lines}, dashes are those "
        "that failed."
    ]
    if silent:
        parts.append(f"Without spans in the last ten minutes, and so without lines: {silent:,} of those connected.")
    if layout.strangers:
        parts.append(f"{layout.strangers:,} escalations went from or to agents that are not shown here.")
    return tag("p", {"class": "quiet"}, " ".join(parts))


def rows(mesh: pb.WatchMeshResponse) -> Markup:
    """A row for each agent, those that need a look first, then by tier and id."""
    ladder = tiers(mesh)
    ordered = sorted(mesh.agents, key=lambda agent: (_urgency(agent), ladder.index(agent.tier), natural(agent.agent)))
    upwards: dict[str, list[pb.MeshEdge]] = {}
    for edge in mesh.edges:
        upwards.setdefault(edge.from_agent, []).append(edge)
    shown = [_row(agent, upwards.get(agent.agent, ()), ladder) for agent in ordered[:MAX_ROWS]]
    more = len(ordered) - len(shown)
    return tag(
        "div",
        {"class": "whole-names"},
        table("Agents, who needs a look first", _COLUMNS, shown),
        tag("p", {"class": "quiet"}, f"{more:,} more agents; choose a tier or a region to see them.") if more else None,
        tag("p", {"class": "quiet"}, _EXPLAINED),
    )


def empty(selector: str) -> Markup:
    """What to do when there is nobody."""
    if selector:
        return words.nothing(f"No agent matches {selector}.", "upriver fleet list", "This lists all that are known.")
    return words.nothing(
        "No agent has joined.",
        'UPRIVER_CONTROL_PLANE_JOIN="$(upriver-control join)" UPRIVER_AGENT_TIER=device upriver agent run',
        "The agent is here as soon as it is connected.",
    )


def _needing(agents: Sequence[pb.MeshAgent]) -> Markup:
    needing = sorted(
        (agent for agent in agents if telling.troubles(agent)),
        key=lambda agent: (_urgency(agent), natural(agent.agent)),
    )
    if not needing:
        return tag("p", {"class": "good"}, "Nothing is degraded, and no alarm rings.")
    items = [
        tag("li", None, tag("a", {"href": link(agent)}, agent.agent), " ", _state(agent))
        for agent in needing[:_MAX_TROUBLES]
    ]
    if len(needing) > _MAX_TROUBLES:
        items.append(tag("li", None, f"and {len(needing) - _MAX_TROUBLES:,} more, in the table below"))
    noun = "agent needs" if len(needing) == 1 else "agents need"
    return join(tag("h2", None, f"{len(needing):,} {noun} a look"), tag("ul", {"class": "needing"}, *items))


def _row(agent: pb.MeshAgent, upwards: Sequence[pb.MeshEdge], ladder: list[str]) -> Row:
    well = bool(agent.connected)
    cells: tuple[Child, ...] = (
        agent.agent,
        tag("span", {"class": f"tier-name {words.tier_class(agent.tier, ladder)}"}, agent.tier or units.NONE),
        agent.region or units.NONE,
        _state(agent),
        units.share(agent.load) if well else units.NONE,
        telling.runs(agent),
        units.rate(agent.rows_per_s) if well else units.NONE,
        units.share(agent.escalated_share) if well and agent.rows_per_s else units.NONE,
        units.ms(agent.p95) if agent.HasField("p95") else units.NONE,
        _asked(upwards, agent.sends_spans),
        tag("a", {"class": "quiet", "href": f"/questions?agent={quote(agent.agent, safe='')}"}, "questions"),
    )
    tone = "bad" if telling.is_grave(agent) else "warn" if telling.troubles(agent) else ""
    return Row(cells, key=agent.agent, href=link(agent), tone=tone)


def link(agent: pb.MeshAgent) -> str:
    """An agent's page."""
    return f"/fleet/{quote(agent.agent, safe='')}"


def _urgency(agent: pb.MeshAgent) -> int:
    """0 for what is grave, 1 for what needs a look, 2 for what is well."""
    return 0 if telling.is_grave(agent) else 1 if telling.troubles(agent) else 2


def _state(agent: pb.MeshAgent) -> Markup:
    troubles = telling.troubles(agent)
    if not troubles:
        return words.chip("well", "good")
    tone = "bad" if telling.is_grave(agent) else "warn"
    return join(*(join(words.chip(one, tone), " ") for one in troubles))


def _asked(upwards: Sequence[pb.MeshEdge], sends_spans: bool) -> str:
    if not upwards:
        return "nobody" if sends_spans else "not known: it sends no spans"
    ordered = sorted(upwards, key=lambda edge: (-edge.escalations, edge.to_agent))
    told = [
        f"{edge.to_agent} {edge.escalations:,}{f' ({edge.failed:,} failed)' if edge.failed else ''}"
        for edge in ordered[:_MAX_UPSTREAMS]
    ]
    if len(ordered) > _MAX_UPSTREAMS:
        told.append(f"{len(ordered) - _MAX_UPSTREAMS} more")
    return ", ".join(told)
