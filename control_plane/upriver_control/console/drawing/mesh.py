"""The mesh as a picture: who is there and how, and how much goes up between whom."""

import math
from typing import Final
from urllib.parse import quote

from upriver.v1 import mesh_pb2 as pb
from upriver_control.console import units
from upriver_control.console.drawing.fitting import fit
from upriver_control.console.drawing.mesh_layout import Band, Edge, Layout, Node, Spot, lay_out
from upriver_control.console.drawing.svg import Markup, Value, join, number, svg, tag, text
from upriver_control.telling import mesh as telling

RADIUS: Final = 15.0
WIDEST: Final = 12.0
"""The width in pixels of the line with the most escalations, where those are at least one a second."""
_A_SECOND: Final = 60
_LABELS: Final = 12
_ASIDE: Final = 28.0
_FAILED: Final = {"stroke": "var(--bad)", "stroke-dasharray": "5 4"}
_SIZE: Final = 12.7
"""Pixels of a letter of which a bold one at 11 pixels takes the room."""


def draw(mesh: pb.WatchMeshResponse, width: float) -> Markup:
    """Draws a mesh: circles filled by load, rings by health, lines as wide as the escalations of the last minute."""
    layout = lay_out(mesh, width)
    most = max((edge.escalations for edge in layout.edges), default=0)
    title = f"{len(mesh.agents)} agents in {len(layout.bands)} tiers; the table below says the same in words"
    return svg(
        layout.width,
        layout.height,
        title,
        *(_band(band) for band in layout.bands),
        *(_edge(edge, layout, most) for edge in layout.edges),
        *(_spot(spot, _level(spot, layout)) for spot in layout.spots),
        *_labels(layout),
        name="mesh",
    )


def thickness(escalations: int, most: int) -> float:
    """The width of a line: in proportion to its escalations, and seen however few they are."""
    return max(1.25, WIDEST * escalations / max(most, _A_SECOND))


def told(node: Node) -> str:
    """A node in one line, for who points at it."""
    if node.is_group:
        return f"{node.label}: {len(node.agents)} agents of {node.tier}; {'; '.join(group_words(node)) or 'all well'}"
    agent = node.agents[0]
    return (
        f"{agent.agent} ({agent.tier}, {agent.region or 'no region'}): {', '.join(telling.troubles(agent)) or 'well'}; "
        f"{units.share(agent.load)} of its places taken, runs {telling.runs(agent)}; in the last minute "
        f"{units.rate(agent.rows_per_s)} rows, {units.share(agent.escalated_share)} of them up"
    )


def group_words(node: Node) -> tuple[str, ...]:
    """What is wrong in a group, counted."""
    counted = (
        (sum(bool(agent.alarms) for agent in node.agents), "ALARM"),
        (sum(not agent.connected for agent in node.agents), "not connected"),
        (sum(agent.connected and not agent.in_sync for agent in node.agents), "not as desired"),
    )
    return tuple(f"{count} {words}" for count, words in counted if count)


def _level(spot: Spot, layout: Layout) -> int:
    return next(band.level for band in layout.bands if band.tier == spot.node.tier)


def _band(band: Band) -> Markup:
    words = f"{band.tier or 'no tier'} · {band.agents}"
    return text(band.x, band.y, words, {"class": "band", "text-anchor": "start" if band.x == 0 else "middle"})


def _edge(edge: Edge, layout: Layout, most: int) -> Markup:
    source, target = layout.spots[edge.source], layout.spots[edge.target]
    path = {"d": _curve(_bend(source, target, layout)), "fill": "none", "class": "edge"}
    wide = thickness(edge.escalations, most)
    words = f"{source.node.label} to {target.node.label}: {_calls(edge)} in the last minute"
    if edge.p95_s:
        words += f", 95 of 100 took at most {units.ms(edge.p95_s)}"
    return tag(
        "g",
        {"data-from": source.node.label, "data-to": target.node.label},
        tag("title", None, words),
        tag("path", {**path, "stroke": "var(--strong-line)", "stroke-width": number(wide)}),
        tag(
            "path",
            {**path, "stroke": "var(--bad)", "stroke-width": number(max(1.5, wide / 2)), "stroke-dasharray": "5 4"},
        )
        if edge.failed
        else None,
    )


def _calls(edge: Edge) -> str:
    failed = f", {edge.failed:,} failed" if edge.failed else ""
    return f"{edge.escalations:,} {'escalation' if edge.escalations == 1 else 'escalations'}{failed}"


def _bend(source: Spot, target: Spot, layout: Layout) -> tuple[tuple[float, float], ...]:
    """A line's ends, and what draws it aside between them: one that skips a tier goes around who stands there."""
    passed = abs(_level(source, layout) - _level(target, layout)) - 1
    aside = _ASIDE * min(2, passed) if passed > 0 else 1.5 * _ASIDE if passed < 0 else 0.0
    if layout.upright:
        aside *= 1.7  # words beside circles are wider than high
        half = (target.y - source.y) / 2
        between = ((source.x + aside, source.y + half), (target.x + aside, target.y - half))
    else:
        half = (target.x - source.x) / 2
        between = ((source.x + half, source.y - aside), (target.x - half, target.y - aside))
    return ((source.x, source.y), *between, (target.x, target.y))


def _curve(points: tuple[tuple[float, float], ...]) -> str:
    first, *rest = (f"{number(x)} {number(y)}" for x, y in points)
    return f"M{first}C{' '.join(rest)}"


def _middle(points: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    """The middle of a cubic Bézier curve."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    return (x0 + 3 * x1 + 3 * x2 + x3) / 8, (y0 + 3 * y1 + 3 * y2 + y3) / 8


def _labels(layout: Layout) -> list[Markup]:
    """How much, in words at the lines: where some failed, and of few lines at all."""
    ordered = sorted(layout.edges, key=lambda edge: (-edge.failed, -edge.escalations, edge.source, edge.target))
    shown = [edge for edge in ordered[:_LABELS] if edge.failed or len(ordered) <= _LABELS]
    made = []
    for edge in shown:
        source, target = layout.spots[edge.source], layout.spots[edge.target]
        words = f"{edge.escalations:,}/min{f', {edge.failed:,} failed' if edge.failed else ''}"
        x, y = _middle(_bend(source, target, layout))
        made.append(text(x, y - 6, words, {"class": "bad" if edge.failed else "rate", "text-anchor": "middle"}))
    return made


def _spot(spot: Spot, level: int) -> Markup:
    node = spot.node
    troubles = group_words(node) if node.is_group else telling.troubles(node.agents[0])
    grave = any(telling.is_grave(agent) for agent in node.agents)
    rings = any(agent.alarms for agent in node.agents)
    health = "bad" if grave else "warn" if troubles else "good"
    gone = not any(agent.connected for agent in node.agents)
    at = {"cx": number(spot.x), "cy": number(spot.y)}
    load = sum(agent.load for agent in node.agents) / len(node.agents)
    ring: dict[str, Value] = {**at, "r": RADIUS, "fill": "none", "stroke": f"var(--{health})", "stroke-width": 3}
    lines = [(node.label, "name"), (_second(node), "quiet"), *((words, health) for words in troubles[:1])]
    if len(troubles) > 1:
        lines[-1] = (f"{troubles[0]} +{len(troubles) - 1}", health)
    return tag(
        "g",
        {"class": "node", "data-agent": None if node.is_group else node.label, "data-href": href(node)},
        tag("title", None, told(node)),
        tag("circle", {**at, "r": RADIUS, "fill": "var(--paper)"}),
        _filled(spot, load, f"var(--tier-{min(level, 4)})"),
        tag("circle", {**ring, "stroke-dasharray": "4 3" if gone else None}),
        tag("circle", {**ring, "r": RADIUS + 4, "stroke-width": 1.5}) if rings else None,
        text(spot.x, spot.y + 4, f"{len(node.agents)}", {"text-anchor": "middle"}) if node.is_group else None,
        join(*(_line(spot, row, words, style) for row, (words, style) in enumerate(lines))),
    )


def href(node: Node) -> str:
    """Where a click on a node leads: an agent's page, or a region's agents."""
    if not node.is_group:
        return f"/fleet/{quote(node.label, safe='')}"
    regions = {agent.region for agent in node.agents}
    terms = [f"tier={node.tier}", *(f"region={region}" for region in regions if len(regions) == 1 and region)]
    return f"/fleet?selector={quote(','.join(terms))}"


def _second(node: Node) -> str:
    if not node.is_group:
        return telling.runs(node.agents[0])
    rows = sum(agent.rows_per_s for agent in node.agents)
    return f"{units.rate(rows)} rows"


def _line(spot: Spot, row: int, words: str, style: str) -> Markup:
    return text(
        spot.x, spot.y + RADIUS + 14 + 12 * row, fit(words, spot.room, _SIZE), {"class": style, "text-anchor": "middle"}
    )


def _filled(spot: Spot, load: float, colour: str) -> Markup | None:
    """The part of a circle below its load's level, as a glass is filled."""
    level = min(max(load, 0.0), 1.0) if math.isfinite(load) else 0.0
    if level == 0.0:
        return None
    if level == 1.0:
        return tag("circle", {"cx": number(spot.x), "cy": number(spot.y), "r": RADIUS, "fill": colour})
    height = RADIUS * (1 - 2 * level)
    half = math.sqrt(RADIUS * RADIUS - height * height)
    left, right, y = number(spot.x - half), number(spot.x + half), number(spot.y + height)
    path = f"M{left} {y}A{number(RADIUS)} {number(RADIUS)} 0 {int(level > 0.5)} 0 {right} {y}Z"
    return tag("path", {"d": path, "fill": colour})
