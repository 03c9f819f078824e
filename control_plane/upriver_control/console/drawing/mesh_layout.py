"""Where things stand in the picture of the mesh: agents or groups of them by tier, and what goes up between them."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from upriver.v1 import mesh_pb2 as pb

MAX_NODES: Final = 40
"""A tier with more agents is drawn by region; with more regions than that, the small ones are one node."""
PHONE: Final = 600
"""In a picture that is narrower, tiers are rows with the highest on top, else columns with the lowest at the left."""
_DIGITS: Final = re.compile(r"([0-9]{1,18})")
_KEY: Final = 300
_CELL: Final = 106
_ROW: Final = 84
_ROWS: Final = 10
_TOP: Final = 46
_BELOW: Final = 12
_GAP: Final = 22
_MIDDLE: Final = 0.3  # of a row, where the middle of a circle is: there are words below it


@dataclass(frozen=True, slots=True)
class Node:
    """One agent, or all agents of `regions` in a tier; its `label` is the agent's id, or names the regions."""

    label: str
    tier: str
    agents: tuple[pb.MeshAgent, ...]
    is_group: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """What went up within the last minute from one node (by its number) to another; `p95_s` is the slowest's."""

    source: int
    target: int
    escalations: int
    failed: int
    p95_s: float


@dataclass(frozen=True, slots=True)
class Spot:
    """A node's middle, and the room for words below it."""

    node: Node
    x: float
    y: float
    room: float


@dataclass(frozen=True, slots=True)
class Band:
    """A tier's title and where it begins; `level` counts from the lowest tier."""

    tier: str
    level: int
    agents: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The whole picture. `strangers` are escalations from or to an agent that is not shown.

    `upright` says that tiers are rows, so that lines leave and arrive from above or below.
    """

    spots: tuple[Spot, ...]
    bands: tuple[Band, ...]
    edges: tuple[Edge, ...]
    strangers: int
    width: float
    height: float
    upright: bool


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """What names are ordered by: `device-2` comes before `device-10`."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name[:_KEY]))


def lay_out(mesh: pb.WatchMeshResponse, width: float) -> Layout:
    """Lays a mesh out in a picture of this width; its height follows."""
    ladder = tiers(mesh)
    found = [nodes(tier, [agent for agent in mesh.agents if agent.tier == tier]) for tier in ladder]
    if width < PHONE:
        spots, bands, height = _in_rows(ladder, found, width)
    else:
        spots, bands, height = _in_columns(ladder, found, width)
    drawn, strangers = edges(mesh.edges, [spot.node for spot in spots])
    return Layout(tuple(spots), tuple(bands), tuple(drawn), strangers, width, height, width < PHONE)


def tiers(mesh: pb.WatchMeshResponse) -> list[str]:
    """The ladder, lowest first, then tiers of agents that are on none."""
    return list(dict.fromkeys([*mesh.tiers, *sorted(agent.tier for agent in mesh.agents)]))


def nodes(tier: str, agents: Sequence[pb.MeshAgent]) -> list[Node]:
    """The nodes of a tier: its agents by id, or its regions when there are too many."""
    if len(agents) <= MAX_NODES:
        return [Node(agent.agent, tier, (agent,)) for agent in sorted(agents, key=lambda agent: natural(agent.agent))]
    regions: dict[str, list[pb.MeshAgent]] = {}
    for agent in agents:
        regions.setdefault(agent.region, []).append(agent)
    largest = sorted(regions, key=lambda region: (-len(regions[region]), region))
    kept = largest if len(largest) <= MAX_NODES else largest[: MAX_NODES - 1]
    made = [Node(region or "no region", tier, tuple(regions[region]), True) for region in sorted(kept, key=natural)]
    if rest := largest[len(kept) :]:
        made.append(Node(f"{len(rest)} more regions", tier, tuple(one for name in rest for one in regions[name]), True))
    return made


def edges(told: Iterable[pb.MeshEdge], shown: Sequence[Node]) -> tuple[list[Edge], int]:
    """Edges between nodes, those of a group's agents added up; and the escalations that have no two ends here."""
    places = {agent.agent: number for number, node in enumerate(shown) for agent in node.agents}
    summed: dict[tuple[int, int], Edge] = {}
    strangers = 0
    for edge in told:
        ends = places.get(edge.from_agent), places.get(edge.to_agent)
        source, target = ends
        if source is None or target is None:
            strangers += edge.escalations
            continue
        before = summed.get((source, target), Edge(source, target, 0, 0, 0.0))
        p95_s = max(before.p95_s, edge.p95.seconds + edge.p95.nanos / 1e9)
        calls, failed = before.escalations + edge.escalations, before.failed + edge.failed
        summed[source, target] = Edge(source, target, calls, failed, p95_s)
    return list(summed.values()), strangers


def _in_columns(
    ladder: Sequence[str], found: Sequence[Sequence[Node]], width: float
) -> tuple[list[Spot], list[Band], float]:
    column = width / max(1, len(ladder))
    grids = [_grid(len(those), column) for those in found]
    tallest = max((rows for rows, _ in grids), default=1)
    spots, bands = [], []
    for level, (tier, those, (rows, lanes)) in enumerate(zip(ladder, found, grids, strict=True)):
        left, top = level * column, _TOP + (tallest - rows) * _ROW / 2
        bands.append(Band(tier, level, sum(len(node.agents) for node in those), left + column / 2, 16))
        for number, node in enumerate(those):
            row, lane = divmod(number, lanes)
            x = left + column / 2 + (lane - (lanes - 1) / 2) * column / lanes
            spots.append(Spot(node, x, top + (row + _MIDDLE) * _ROW, column / lanes))
    return spots, bands, _TOP + tallest * _ROW + _BELOW


def _in_rows(
    ladder: Sequence[str], found: Sequence[Sequence[Node]], width: float
) -> tuple[list[Spot], list[Band], float]:
    lanes = max(1, int(width // _CELL))
    spots, bands, top = [], [], 0.0
    for level in reversed(range(len(ladder))):
        those = found[level]
        bands.append(Band(ladder[level], level, sum(len(node.agents) for node in those), 0, top + 16))
        for number, node in enumerate(those):
            row, lane = divmod(number, lanes)
            there = min(lanes, len(those) - row * lanes)
            x = width / 2 + (lane - (there - 1) / 2) * width / lanes
            spots.append(Spot(node, x, top + _TOP + (row + _MIDDLE) * _ROW, width / lanes))
        top += _TOP + max(1, math.ceil(len(those) / lanes)) * _ROW + _GAP
    return spots, bands, max(top - _GAP, _ROW) + _BELOW


def _grid(count: int, column: float) -> tuple[int, int]:
    """Rows and lanes of a tier's column: one lane as long as it is not too long, then as many as there is room for."""
    lanes = min(max(1, math.ceil(count / _ROWS)), max(1, int(column // _CELL)))
    return max(1, math.ceil(count / lanes)), lanes
