"""Which version was made from which, as a picture: one row a version, the newest on top, lines down to its parent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from upriver_control.console.drawing.fitting import extent, fit
from upriver_control.console.drawing.svg import Markup, join, number, svg, tag, text

_ROW: Final = 44.0
_LANE: Final = 20.0
_MOST_LANES: Final = 8
_LEFT: Final = 12.0
_DOT: Final = 6.0


@dataclass(frozen=True, slots=True)
class Made:
    """A version: its name, its parent's ("" when it has none), who made it, its aliases, and how many agents run it.

    One that is only known because another names it as parent is not `here`.
    """

    name: str
    parent: str
    note: str
    aliases: tuple[str, ...] = ()
    agents: int = 0
    here: bool = True


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a version stands: its row and lane, both from 0, and the row of its parent, None where it is not below."""

    made: Made
    row: int
    lane: int
    parent_row: int | None


def lay_out(versions: Sequence[Made]) -> tuple[Spot, ...]:
    """Rows and lanes as in `git log --graph`: `versions` newest first; parents that are not there follow below."""
    rows = list({made.name: made for made in reversed(versions)}.values())[::-1]
    named = {made.name for made in rows}
    gone = dict.fromkeys(made.parent for made in rows if made.parent and made.parent not in named)
    rows += [Made(name, "", "no longer here, or of another model", here=False) for name in gone]
    at = {made.name: row for row, made in enumerate(rows)}
    waiting: list[str] = []  # per lane, the parent that its line leads to
    spots = []
    for row, made in enumerate(rows):
        lane = waiting.index(made.name) if made.name in waiting else _free(waiting)
        waiting = ["" if name == made.name else name for name in waiting]
        below = at.get(made.parent, -1) > row
        if lane == len(waiting):
            waiting.append("")
        waiting[lane] = made.parent if below else ""
        spots.append(Spot(made, row, lane, at[made.parent] if below else None))
    return tuple(spots)


def draw(versions: Sequence[Made], model: str, width: float) -> Markup:
    """Draws the versions of a model, newest first, in `width` pixels."""
    spots = lay_out(versions)
    lanes = min(_MOST_LANES, max((spot.lane for spot in spots), default=0) + 1)
    left = _LEFT + lanes * _LANE + 4
    edges = [_edge(spot, spots[spot.parent_row]) for spot in spots if spot.parent_row is not None]
    return svg(
        width,
        max(1, len(spots)) * _ROW,
        told(versions, model),
        *edges,
        *(_node(spot, left, width) for spot in spots),
        name="lineage",
    )


def told(versions: Sequence[Made], model: str) -> str:
    """The picture in words."""
    made = [f"{one.name} from {one.parent}" for one in versions if one.parent]
    more = f"; {len(made) - 20} more" if len(made) > 20 else ""
    lines = "; ".join(made[:20]) or "none"
    return f"Versions of {model}, newest first: {len(versions)}. Made from others: {lines}{more}"


def _free(waiting: list[str]) -> int:
    return waiting.index("") if "" in waiting else len(waiting)


def _x(lane: int) -> float:
    return _LEFT + min(lane, _MOST_LANES - 1) * _LANE


def _y(row: int) -> float:
    return row * _ROW + 15


def _edge(child: Spot, parent: Spot) -> Markup:
    way, end, down = _x(child.lane), _x(parent.lane), _y(parent.row)
    bend = down - _ROW / 2
    path = f"M{number(way)} {number(_y(child.row))}L{number(way)} {number(bend)}"
    path += f"C{number(way)} {number(bend + 14)} {number(end)} {number(bend + 8)} {number(end)} {number(down)}"
    dashes = None if parent.made.here else "4 3"
    look = {"fill": "none", "stroke": "var(--strong-line)", "stroke-width": "2", "stroke-dasharray": dashes}
    return tag("path", {"d": path, **look})


def _node(spot: Spot, left: float, width: float) -> Markup:
    made, x, y = spot.made, _x(spot.lane), _y(spot.row)
    runs, room = made.agents > 0, width - left
    look = {"stroke": "var(--ink)" if made.here else "var(--quiet)", "stroke-width": "2"}
    fill = "var(--good)" if runs else "var(--paper)"
    dot = tag("circle", {"cx": number(x), "cy": number(y), "r": number(_DOT), "fill": fill, **look})
    name = fit(made.name, room)
    tags = "  ".join(f"@{alias}" for alias in made.aliases)
    after = left + 1.1 * extent(name) + 10  # it is in bold
    return join(
        dot,
        text(left, y + 4, name, {"font-weight": "600" if made.here else None, "class": None if made.here else "quiet"}),
        text(after, y + 4, fit(tags, width - after), {"style": "fill: var(--accent)"}) if after < width else None,
        text(left, y + 20, fit(_note(made), room), {"class": "quiet"}),
    )


def _note(made: Made) -> str:
    runs = f"{made.agents:,} agent{'' if made.agents == 1 else 's'} run{'s' if made.agents == 1 else ''} it · "
    return (runs if made.agents else "") + made.note
