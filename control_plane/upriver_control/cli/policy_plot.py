"""The path of a calibration drawn: what is answered below the top, against the loss that is certified."""

from html import escape
from typing import Final

from rich.text import Text

from upriver_control.telling.paths import Drawing
from upriver_control.telling.policies import percent

WIDTH, HEIGHT = 64, 12
_SVG_WIDTH, _SVG_HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 50
_TICKS: Final = 4


def on_terminal(drawing: Drawing) -> Text:
    """The drawing in characters."""
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    target = _row(drawing, drawing.target)
    for column in range(WIDTH):
        cells[target, column] = ("╌", "yellow")
    for point in sorted(drawing.shown(), key=lambda one: one.certified):
        cells[_row(drawing, point.loss), _column(drawing, point.local)] = (
            ("●", "green") if point.certified else ("·", "red")
        )
    if drawing.shipped is not None and drawing.shipped.loss <= drawing.highest:
        cells[_row(drawing, drawing.shipped.loss), _column(drawing, drawing.shipped.local)] = ("◆", "bold cyan")
    text = Text(f"{drawing.what} against the share answered below the top\n", style="bold")
    step = HEIGHT // _TICKS
    for row in range(HEIGHT + 1):
        label = percent(drawing.highest * (HEIGHT - row) / HEIGHT) if row % step == 0 else ""
        text.append(f"{label:>8} ┤" if label else f"{'':>8} │")
        for column in range(WIDTH):
            symbol, style = cells.get((row, column), (" ", ""))
            text.append(symbol, style=style)
        text.append("\n")
    text.append(f"{'':>8} └{'─' * WIDTH}\n{'':>10}")
    width = WIDTH // _TICKS
    for tick in range(_TICKS):
        text.append(f"{percent(drawing.left + (1 - drawing.left) * tick / _TICKS):<{width}}")
    text.append("100 %\n")
    text.append(f"{'':>10}")
    for symbol, style, meaning in (
        ("◆", "bold cyan", "ships"),
        ("●", "green", "certified"),
        ("·", "red", "not proven"),
        ("╌", "yellow", "what may be lost"),
    ):
        text.append(f"{symbol} ", style=style)
        text.append(f"{meaning}   ")
    return text


def as_svg(drawing: Drawing) -> str:
    """The same as an SVG picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SVG_WIDTH}" height="{_SVG_HEIGHT}" '
        f'viewBox="0 0 {_SVG_WIDTH} {_SVG_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_SVG_WIDTH}" height="{_SVG_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(drawing.title)}</text>',
    ]
    for tick in range(_TICKS + 1):
        local, loss = drawing.left + (1 - drawing.left) * tick / _TICKS, drawing.highest * tick / _TICKS
        x, y = _x(drawing, local), _y(drawing, loss)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_SVG_WIDTH - _RIGHT}" stroke="#eee"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent(loss)}</text>')
        parts.append(f'<text x="{x:.1f}" y="{_SVG_HEIGHT - 30}" text-anchor="middle">{percent(local)}</text>')
    target = _y(drawing, drawing.target)
    parts.append(
        f'<path d="M{_LEFT} {target:.1f}H{_SVG_WIDTH - _RIGHT}" stroke="#c90" stroke-dasharray="6 4"/>'
        f'<text x="{_LEFT + 6}" y="{target - 6:.1f}" fill="#a70">may be lost: {percent(drawing.target)}</text>'
    )
    for point in drawing.shown():
        colour = "#2a2" if point.certified else "#c33"
        parts.append(
            f'<circle cx="{_x(drawing, point.local):.1f}" cy="{_y(drawing, point.loss):.1f}" r="3" fill="{colour}"/>'
        )
    if drawing.shipped is not None and drawing.shipped.loss <= drawing.highest:
        x, y = _x(drawing, drawing.shipped.local), _y(drawing, drawing.shipped.loss)
        parts.append(f'<path d="M{x:.1f} {y - 8:.1f}l8 8-8 8-8-8z" fill="#08c"/>')
        parts.append(f'<text x="{x - 12:.1f}" y="{y - 10:.1f}" text-anchor="end" fill="#08c">ships</text>')
    middle = _LEFT + (_SVG_WIDTH - _LEFT - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_SVG_HEIGHT - 8}" text-anchor="middle">answered below the top</text>'
        f'<text transform="translate(16 {_SVG_HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(drawing.what)}</text></svg>\n"
    )
    return "\n".join(parts)


def _column(drawing: Drawing, local: float) -> int:
    return min(WIDTH - 1, max(0, round((local - drawing.left) / (1.0 - drawing.left) * (WIDTH - 1))))


def _row(drawing: Drawing, loss: float) -> int:
    return HEIGHT - min(HEIGHT, max(0, round(loss / drawing.highest * HEIGHT)))


def _x(drawing: Drawing, local: float) -> float:
    return _LEFT + (local - drawing.left) / (1.0 - drawing.left) * (_SVG_WIDTH - _LEFT - _RIGHT)


def _y(drawing: Drawing, loss: float) -> float:
    return _SVG_HEIGHT - _BOTTOM - loss / drawing.highest * (_SVG_HEIGHT - _TOP - _BOTTOM)
