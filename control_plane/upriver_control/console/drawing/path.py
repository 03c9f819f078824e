"""The path of a calibration as a picture: what is answered below the top, against the loss that is certified."""

from dataclasses import dataclass
from typing import Final

from upriver_control.console.drawing.fitting import within
from upriver_control.console.drawing.svg import Markup, line, number, svg, tag, text
from upriver_control.telling.paths import Drawing, Point
from upriver_control.telling.policies import percent

_LEFT: Final = 62.0
_RIGHT: Final = 16.0
_TOP: Final = 18.0
_BOTTOM: Final = 46.0
_NARROW: Final = 500.0


@dataclass(frozen=True, slots=True)
class Ask:
    """Another target, as the service knows it: what may be lost, and the share answered below the top then."""

    max_loss: float
    local: float


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where shares and losses lie in the picture."""

    drawing: Drawing
    width: float
    height: float

    def x(self, local: float) -> float:
        span = 1.0 - self.drawing.left
        return _LEFT + within((local - self.drawing.left) / span) * (self.width - _LEFT - _RIGHT)

    def y(self, loss: float) -> float:
        room = self.height - _BOTTOM - _TOP
        return self.height - _BOTTOM - within(loss / max(self.drawing.highest, 1e-12)) * room


def draw(drawing: Drawing, width: float, ask: Ask | None = None) -> Markup:
    """Draws a path with what ships and what may be lost; with `ask` also what another target would have given."""
    plane = _Plane(drawing, width, 0.72 * width if width < _NARROW else min(360.0, 0.45 * width))
    shown = sorted(drawing.shown(), key=lambda point: point.certified)
    return svg(
        width,
        plane.height,
        told(drawing, ask),
        *_axes(plane),
        *_target(plane),
        *(_point(plane, point) for point in shown),
        *(_ask(plane, ask) if ask is not None else ()),
        *(_shipped(plane, drawing.shipped) if drawing.shipped is not None else ()),
        name="path",
    )


def told(drawing: Drawing, ask: Ask | None = None) -> str:
    """The picture in words."""
    proven = sum(point.certified for point in drawing.points)
    parts = [f"{drawing.title}. {len(drawing.points)} ways of answering, {proven} of them certified"]
    if drawing.shipped is None:
        parts.append("what ships sends everything to the top")
    else:
        ships = f"what ships answers {percent(drawing.shipped.local)} below the top"
        parts.append(f"{ships}, {drawing.what} {percent(drawing.shipped.loss)}")
    if ask is not None:
        parts.append(f"with {percent(ask.max_loss)} allowed it would answer {percent(ask.local)} below the top")
    return "; ".join(parts)


def _axes(plane: _Plane) -> list[Markup]:
    drawing, ticks = plane.drawing, 2 if plane.width < _NARROW else 4
    base, middle = plane.height - _BOTTOM, _LEFT + (plane.width - _LEFT - _RIGHT) / 2
    drawn = []
    for tick in range(ticks + 1):
        local = drawing.left + (1 - drawing.left) * tick / ticks
        loss = drawing.highest * tick / ticks
        x, y = plane.x(local), plane.y(loss)
        anchor = "end" if tick == ticks else "middle"
        drawn.append(line(_LEFT, y, plane.width - _RIGHT, y, {"class": "axis"}))
        drawn.append(text(_LEFT - 8, y + 4, percent(loss), {"text-anchor": "end", "class": "quiet"}))
        drawn.append(text(x, base + 18, percent(local), {"text-anchor": anchor, "class": "quiet"}))
    drawn.append(text(middle, plane.height - 8, "answered below the top", {"text-anchor": "middle", "class": "quiet"}))
    drawn.append(text(0, 10, drawing.what, {"class": "quiet"}))
    return drawn


def _target(plane: _Plane) -> list[Markup]:
    y = plane.y(plane.drawing.target)
    look = {"stroke": "var(--warn)", "stroke-width": "1.5", "stroke-dasharray": "6 4"}
    words = f"may be lost: {percent(plane.drawing.target)}"
    return [
        line(_LEFT, y, plane.width - _RIGHT, y, look),
        text(_LEFT + 6, y - 6, words, {"style": "fill: var(--warn)"}),
    ]


def _point(plane: _Plane, point: Point) -> Markup:
    x, y = number(plane.x(point.local)), number(plane.y(point.loss))
    words = f"{percent(point.local)} below the top, {plane.drawing.what} {percent(point.loss)}"
    if point.certified:
        look = {"cx": x, "cy": y, "r": "3.5", "fill": "var(--good)"}
        return tag("circle", look, tag("title", None, f"{words}, certified"))
    # A ring and not only a colour: whoever can't tell red from green sees what is not proven.
    look = {"cx": x, "cy": y, "r": "3", "fill": "none", "stroke": "var(--bad)", "stroke-width": "1.5"}
    return tag("circle", look, tag("title", None, f"{words}, not proven"))


def _shipped(plane: _Plane, point: Point) -> list[Markup]:
    x, y = plane.x(point.local), plane.y(point.loss)
    right = x > plane.width / 2
    diamond, words = f"M{number(x)} {number(y - 8)}l8 8l-8 8l-8 -8z", f"ships: {percent(point.local)}"
    side = {"text-anchor": "end" if right else "start", "style": "fill: var(--accent); font-weight: 600"}
    return [
        tag("path", {"d": diamond, "fill": "var(--accent)", "stroke": "var(--paper)"}),
        text(x - 12 if right else x + 12, y + (18 if plane.width < _NARROW else -8), words, side),
    ]


def _ask(plane: _Plane, ask: Ask) -> list[Markup]:
    x, y = plane.x(ask.local), plane.y(ask.max_loss)
    look = {"stroke": "var(--tier-2)", "stroke-width": "1.5", "stroke-dasharray": "2 3"}
    right = x > plane.width / 2
    side = {"text-anchor": "end" if right else "start", "style": "fill: var(--tier-2); font-weight: 600"}
    above = ask.max_loss > plane.drawing.highest
    words = f"if {percent(ask.max_loss)}{' (further up)' if above else ''}: {percent(ask.local)}"
    drawn = [
        line(x, _TOP, x, plane.height - _BOTTOM, look),
        text(x - 12 if right else x + 12, _TOP + 14, words, side),
    ]
    if above:  # a mark at the edge would say that this much may be lost, and it is more
        return drawn
    diamond = f"M{number(x)} {number(y - 7)}l7 7l-7 7l-7 -7z"
    mark = {"d": diamond, "fill": "var(--paper)", "stroke": "var(--tier-2)", "stroke-width": "2"}
    return [line(_LEFT, y, plane.width - _RIGHT, y, look), *drawn, tag("path", mark)]
