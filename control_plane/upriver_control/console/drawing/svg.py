"""Markup, made of tags whose texts and attributes are escaped: the only module that writes angle brackets.

Names of agents, models and spans are whatever somebody who may export wrote: nothing gets into a page by another way.
"""

import html
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f]")
_SHORT: Final = 64
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta"})
_LINKS: Final = frozenset({"href", "src", "action"})
_SAFE: Final = ("https://", "http://", "/", "#", "?", "data:image/png;base64,")

Value = str | int | float | bool | None


class Markup(str):
    """Text that is markup already. Made by the functions here only."""

    __slots__ = ()


Child = Markup | str | int | float | None
"""Markup is taken as it is, text is escaped, None is nothing."""


def tag(name: str, attributes: Mapping[str, Value] | None = None, *children: Child) -> Markup:
    """An element. Attributes that are None or False are left out, True ones have no value.

    An address of a link that is neither of this site nor http(s) nor a PNG's data becomes `#`.
    """
    written = "".join(_attribute(key, value) for key, value in (attributes or {}).items())
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Several, one after the other."""
    return Markup("".join(_child(child) for child in children))


def document(title: str, head: Markup, body: Markup) -> Markup:
    """A whole page; `body` is its body element."""
    settings = (
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
    )
    page = tag("html", {"lang": "en-US"}, tag("head", None, *settings, tag("title", None, title), head), body)
    return Markup(f"<!doctype html>{page}")


def svg(width: float, height: float, title: str, *children: Child, name: str = "", stretch: bool = False) -> Markup:
    """A picture, which screen readers call by its title; `width` and `height` are its units, 1 unit is 1 pixel.

    It shrinks where there is less room; with `stretch` it also grows to the width that there is. `name` is its class.
    """
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "role": "img",
        "aria-label": title,
        "class": f"picture {name}".strip(),
        "viewBox": f"0 0 {number(width)} {number(height)}",
        "width": "100%" if stretch else number(width),
        "height": None if stretch else number(height),
    }
    return tag("svg", attributes, tag("title", None, title), *children)


def text(x: float, y: float, words: str, attributes: Mapping[str, Value] | None = None) -> Markup:
    """Words in a picture; `y` is their base line."""
    return tag("text", {"x": number(x), "y": number(y), **(attributes or {})}, words)


def rect(x: float, y: float, width: float, height: float, attributes: Mapping[str, Value] | None = None) -> Markup:
    """A rectangle in a picture; a width or height below zero is zero."""
    size = {"width": number(max(0.0, width)), "height": number(max(0.0, height))}
    return tag("rect", {"x": number(x), "y": number(y), **size, **(attributes or {})})


def line(x1: float, y1: float, x2: float, y2: float, attributes: Mapping[str, Value] | None = None) -> Markup:
    """A line in a picture."""
    ends = {"x1": number(x1), "y1": number(y1), "x2": number(x2), "y2": number(y2)}
    return tag("line", {**ends, **(attributes or {})})


def number(value: float) -> str:
    """A coordinate: at most two places; what is no finite number is 0, as a picture would be refused for it."""
    if not math.isfinite(value):
        return "0"
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def _attribute(key: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {key}"
    shown = str(value)
    if key in _LINKS and not shown.startswith(_SAFE):
        shown = "#"
    return f' {key}="{_escaped(shown)}"'


def _child(child: Child) -> str:
    if child is None:
        return ""
    return str(child) if isinstance(child, Markup) else _escaped(str(child))


def _escaped(words: str) -> str:
    return _short(words) if len(words) <= _SHORT else _anew(words)


def _anew(words: str) -> str:
    """Escaped, and without the control characters that no document may hold."""
    return html.escape(_CONTROL.sub("\ufffd", words), quote=True)


_short = lru_cache(2048)(_anew)  # class names and numbers come again and again
