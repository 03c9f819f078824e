"""The rings of a rollout as bars: who runs the pair, who is on the way, who failed, who is still to be told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from upriver_control.console.drawing.fitting import fit
from upriver_control.console.drawing.svg import Markup, join, number, rect, svg, tag, text

_ROW: Final = 46.0
_LINE: Final = 16.0
_NARROW: Final = 500.0
"""Below it, the words of a ring have a line of their own."""
_BAR: Final = 16.0
_LEFT: Final = 14.0


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring as the rollout tells it; counts are of agents. `size` is how large it was asked to be."""

    size: str
    agents: int
    released: int
    active: int
    failed: int
    offline: int
    current: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """A bar's parts, agents each; together they are all of the ring."""

    active: int
    failed: int
    moving: int
    untold: int


def parts(ring: Ring) -> Parts:
    """What of a ring is where. Counts that contradict each other are cut, so that the bar is never longer than full."""
    total = max(0, ring.agents)
    active = min(max(0, ring.active), total)
    failed = min(max(0, ring.failed), total - active)
    moving = min(max(0, ring.released - active - failed), total - active - failed)
    return Parts(active, failed, moving, total - active - failed - moving)


def words(ring: Ring) -> str:
    """A ring in words."""
    if ring.agents == 0:
        return "no agents in it"
    found, agents = parts(ring), f"{ring.agents:,} agent{'' if ring.agents == 1 else 's'}"
    counted = (
        (found.active, "run it"),
        (found.moving, "on the way"),
        (found.failed, "failed"),
        (ring.offline, "not connected"),
        (found.untold, "not told yet"),
    )
    return f"{agents}: " + ", ".join(f"{count:,} {what}" for count, what in counted if count)


def draw(rings: Sequence[Ring], width: float) -> Markup:
    """Draws the rings, the smallest on top, each as a bar of the whole width."""
    title = "; ".join(f"ring {number_ + 1} ({ring.size}), {words(ring)}" for number_, ring in enumerate(rings))
    bars = [_ring(index, ring, len(rings), width) for index, ring in enumerate(rings)]
    return svg(width, max(1, len(rings)) * _height(width), f"Rings: {title or 'none yet'}", *bars, name="rings")


def _ring(index: int, ring: Ring, of: int, width: float) -> Markup:
    y, room = index * _height(width), max(0.0, width - _LEFT)
    bar = y + 20 + (_LINE if width < _NARROW else 0)
    name, told = f"Ring {index + 1} of {of} ({ring.size})", words(ring)
    lines = (name, told) if width < _NARROW else (f"{name} · {told}",)
    weight = {"font-weight": "600" if ring.current else None}
    here = tag("path", {"d": f"M0 {number(y + 4)}l8 5.5l-8 5.5z", "fill": "var(--accent)"}) if ring.current else None
    return join(
        here,
        *(text(_LEFT, y + 14 + at * _LINE, fit(line, room), weight) for at, line in enumerate(lines)),
        rect(_LEFT, bar, room, _BAR, {"rx": 3, "fill": "var(--raised)", "stroke": "var(--line)"}),
        *_segments(ring, bar, room),
    )


def _height(width: float) -> float:
    return _ROW + (_LINE if width < _NARROW else 0)


def _segments(ring: Ring, y: float, room: float) -> list[Markup]:
    found, x, drawn = parts(ring), _LEFT, []
    of = max(1, ring.agents)
    looks = ((found.active, "var(--good)"), (found.failed, "var(--bad)"), (found.moving, "var(--accent)"))
    for count, colour in looks:
        wide = room * count / of
        if count:
            drawn.append(rect(x, y, wide, _BAR, {"rx": 3, "fill": colour}))
        x += wide
    return drawn
