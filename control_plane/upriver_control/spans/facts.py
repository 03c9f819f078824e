"""One span as plain values, whoever sent it; and reading its attributes, which anybody may have written. Pure.

Named tuples and no dataclasses: one is made for every span that comes in, and this is several times faster.
"""

import math
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

Scalar: TypeAlias = str | bool | int | float | bytes
Value: TypeAlias = Scalar | tuple[Scalar, ...]
Attributes: TypeAlias = Mapping[str, Value]

MAX_TEXT: Final = 200
"""Characters of an attribute that are looked at, where it names something."""
MAX_SHOWN: Final = 1000
"""Characters of one that is only shown."""
SERVER: Final = 2
CLIENT: Final = 3
"""OpenTelemetry's numbers of the two kinds of span that a call has."""
_NONE: Attributes = {}


class EventFacts(NamedTuple):
    """Something that happened in a span."""

    name: str
    at_ns: int
    attributes: Attributes = _NONE


class LinkFacts(NamedTuple):
    """Another span that a span speaks of."""

    trace: bytes
    span: bytes


class SpanFacts(NamedTuple):
    """A span. Times are the sender's clock's, nanoseconds since the epoch; `offset_ns` is added to them.

    `trace` has 16 bytes and `span` 8; `parent` has 8, or none at a root. `failed` says whether it failed, and `error`
    why, in words. `service` and `agent` are the resource's `service.name` and `service.instance.id`. `raw` is the
    span's own message.
    """

    trace: bytes
    span: bytes
    parent: bytes
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Attributes = _NONE
    events: tuple[EventFacts, ...] = ()
    links: tuple[LinkFacts, ...] = ()
    failed: bool = False
    error: str = ""
    service: str = ""
    agent: str = ""
    offset_ns: int = 0
    raw: bytes = b""

    @property
    def length_ns(self) -> int:
        """How long it took; 0 where it ends before it begins, as it may when a clock is set back."""
        return max(0, self.end_ns - self.start_ns)


def text(attributes: Attributes, name: str) -> str:
    """A text, empty when there is none; fit for a database: without zero characters, and at most `MAX_TEXT` of them."""
    value = attributes.get(name, "")
    return clean(value) if isinstance(value, str) else ""


def clean(value: str, most: int = MAX_TEXT) -> str:
    """A text as it may be kept and told."""
    if len(value) <= most and "\0" not in value:
        return value
    return value[:most].replace("\0", "\N{REPLACEMENT CHARACTER}")


def shown(value: Value) -> str:
    """A value as people read it, at most `MAX_SHOWN` characters: `true`, `0.97`, `device-1, far-1`, bytes in hex."""
    match value:
        case bool():
            told = str(value).lower()
        case bytes():
            told = value[:MAX_SHOWN].hex()
        case tuple():
            told = ", ".join(shown(item) for item in value)
        case _:
            told = str(value)
    return clean(told, MAX_SHOWN)


def texts(attributes: Attributes, name: str) -> tuple[str, ...]:
    """A list of texts, empty when there is none; others than texts in it are left out."""
    value = attributes.get(name, ())
    return tuple(clean(item) for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()


def count(attributes: Attributes, name: str) -> int:
    """A whole number from 0 on; 0 when there is none."""
    value = attributes.get(name, 0)
    return value if type(value) is int and value > 0 else 0


def number(attributes: Attributes, name: str) -> float | None:
    """A number, None when there is none. The largest double stands for infinity, which spans can't say."""
    value = attributes.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else float(value)


def truth(attributes: Attributes, name: str) -> bool | None:
    """Yes or no; None when it is not told."""
    value = attributes.get(name)
    return value if isinstance(value, bool) else None
