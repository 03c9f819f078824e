"""The curves of escalation against lessons as a picture, drawn with Pillow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from demo.learn_tally import Point

SIZE: Final = (900, 520)
_LEFT, _TOP, _RIGHT, _BOTTOM = 80, 50, 870, 450
_COLOURS: Final = ("#1f77b4", "#d95f02", "#2ca02c", "#9467bd")
_INK, _FAINT = "#222222", "#dddddd"


def plot(curves: Mapping[str, Sequence[Point]], promotions: Mapping[str, Sequence[int]], file: Path) -> None:
    """Writes a PNG: a curve for each region, and a mark at every number of lessons at which a head was promoted."""
    most = max((curve[-1].lessons for curve in curves.values() if curve), default=0) or 1
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.text((_LEFT, 18), "share of questions that go up, against lessons of the region", fill=_INK, font_size=16)
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        draw.line((_LEFT, y, _RIGHT, y), fill=_FAINT)
        draw.text((_LEFT - 44, y - 8), f"{tenth * 10} %", fill=_INK, font_size=13)
    for quarter in range(5):
        lessons = round(most * quarter / 4)
        x = _x(lessons, most)
        draw.line((x, _BOTTOM, x, _BOTTOM + 5), fill=_INK)
        draw.text((x - 12, _BOTTOM + 9), f"{lessons:,}", fill=_INK, font_size=13)
    draw.line((_LEFT, _TOP, _LEFT, _BOTTOM, _RIGHT, _BOTTOM), fill=_INK)
    draw.text((_RIGHT - 60, _BOTTOM + 30), "lessons", fill=_INK, font_size=13)
    for number, (region, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        line = [(_x(point.lessons, most), _y(point.escalation)) for point in curve]
        if len(line) > 1:
            draw.line(line, fill=colour, width=3)
        for lessons in promotions.get(region, ()):
            _mark(draw, _x(lessons, most), _BOTTOM, colour)
        y = _TOP + 22 * number
        draw.text((_RIGHT - 60, y), region, fill=colour, font_size=15)
    _mark(draw, _RIGHT - 190, _TOP + 22 * len(curves) + 14, _INK)
    draw.text((_RIGHT - 178, _TOP + 22 * len(curves)), "an agent promoted a head", fill=_INK, font_size=13)
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, "PNG")


def _mark(draw: ImageDraw.ImageDraw, x: float, y: float, colour: str) -> None:
    draw.polygon([(x - 5, y), (x + 5, y), (x, y - 10)], fill=colour)


def _x(lessons: int, most: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * min(1.0, lessons / most)


def _y(share: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * min(1.0, max(0.0, share))
