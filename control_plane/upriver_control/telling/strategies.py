"""How a rollout goes, as people write it: `1,10%,100%`, `30s`, `2%`."""

import math
import re
from typing import Final

from google.protobuf.duration_pb2 import Duration

from upriver.errors import ConfigError
from upriver.v1 import rollout_pb2 as pb

RINGS: Final = "1,10%,100%"
"""Where nothing else is asked for: agents in all, ring by ring."""
SOAK: Final = "30s"
"""Likewise: how long a ring is watched before the next."""
FAILURE_LIMIT: Final = "10%"
"""Likewise: the share of a ring that may fail."""
MIN_SAMPLE: Final = 5
"""Likewise: agents, or rows, from which gates judge a ring that is under way."""
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|)")
_LONGEST_S: Final = 315_360_000_000
"""10,000 years, about what a Duration of protobuf holds."""
_WHAT: Final = "rollout"


def read_rings(text: str, name: str = "--rings") -> list[pb.Ring]:
    """`1,10%,100%` as rings; a last one of all is added where there is none. Raises ConfigError, which says `name`."""
    found = [_ring(part.strip(), name) for part in text.split(",")]
    if found[-1].percent < 100:
        found.append(pb.Ring(percent=100))
    return found


def read_share(text: str, name: str) -> float:
    """`10%` or `0.1` as 0.1. Raises ConfigError that calls it `name`."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(_WHAT, [f"{name}: {text!r} is no share; expected 0 to 1 or 0% to 100%"])
    return value


def read_span(text: str, name: str) -> Duration:
    """`30s`, `5m`, `500ms`, `1h` or seconds as a Duration. Raises ConfigError that calls it `name`."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(_WHAT, [f"{name}: {text!r} is no time; expected such as 30s, 5m or 1h"])
    duration, seconds = Duration(), float(found.group(1)) * _UNITS[found.group(2)]
    if seconds > _LONGEST_S:
        raise ConfigError(_WHAT, [f"{name}: {text[:40]!r} is too long; expected at most {_LONGEST_S // 86_400} days"])
    duration.FromMilliseconds(round(seconds * 1000))
    return duration


def read_ratio(text: str, name: str) -> float:
    """`1.5` as 1.5: how many times as much. Raises ConfigError, which says `name`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ConfigError(_WHAT, [f"{name}: {text!r} is no multiple; expected a number above 0, such as 1.5"])
    return value


def _ring(text: str, name: str) -> pb.Ring:
    try:
        if text.endswith("%"):
            return pb.Ring(percent=float(text[:-1]))
        return pb.Ring(count=int(text))
    except ValueError as error:
        told = f"{name}: {text!r} is no ring; expected a count or a percentage, as 1,10%,100%"
        raise ConfigError(_WHAT, [told]) from error
