"""Numbers as people read them, each with its unit."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
_AGES: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
NONE: Final = "–"  # noqa: RUF001 - a dash, as print has it
"""What stands where there is nothing to tell."""


def seconds(duration: Duration) -> float:
    """A duration, in seconds."""
    return duration.seconds + duration.nanos / 1e9


def ms(duration: Duration | float) -> str:
    """How long something took, given as a message or in seconds: `0.42 ms`, `18 ms`, `1.8 s`, `3 min 20 s`."""
    value = seconds(duration) if isinstance(duration, Duration) else duration
    if not math.isfinite(value):
        return NONE
    if abs(value) >= 120:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    if abs(value) >= 0.9995:
        return f"{_three(value)} s"
    return f"{_three(1e3 * value)} ms"


def share(value: float) -> str:
    """A share of 1: `0.4 %`, `12 %`; what is nearly nothing is not nothing, and what is nearly all is not all."""
    percent = 100 * value
    if not math.isfinite(percent):
        return NONE
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.5 <= percent < 100:
        return f"{percent:.1f} %" if percent < 99.95 else "> 99.9 %"
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.1f} %"


def size(count: float) -> str:
    """Bytes: `840 B`, `1.2 KiB`."""
    value, unit = float(count), 0
    while abs(value) >= 1023.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_SIZES[unit]}" if unit == 0 else f"{_three(value)} {_SIZES[unit]}"


def count(value: float) -> str:
    """How many: `1,234`, `1.2 M`. Estimates are rounded."""
    if not math.isfinite(value):
        return NONE
    if abs(value) >= 999_500:
        return f"{_three(value / 1e6)} M"
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """How many a second: `0.4/s`, `120/s`."""
    return f"{_three(value)}/s" if math.isfinite(value) else NONE


def score(value: float | None, digits: int = 3) -> str:
    """A confidence or a threshold: `0.873`, `∞`."""
    if value is None or math.isnan(value):
        return NONE
    if abs(value) > 1e300:  # infinity travels as the largest double
        return "∞" if value > 0 else "-∞"
    told = f"{value:.{digits}f}"
    return told.removeprefix("-") if float(told) == 0 else told


def scores(value: float | None, threshold: float | None) -> tuple[str, str]:
    """A confidence and the threshold that it was held to, with as many digits as tell them apart, nine at most."""
    told = [(score(value, digits), score(threshold, digits)) for digits in range(3, 10)]
    return next((pair for pair in told if pair[0] != pair[1]), told[0])


def moment(at: Timestamp) -> datetime:
    """A time, in UTC; one that no calendar has, as agents' clocks may say, is the nearest that it has."""
    seconds = min(max(at.seconds, _EARLIEST), _LATEST)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=min(max(at.nanos, 0), 999_999_999) // 1000)


def clock(at: Timestamp | datetime) -> str:
    """A time of day, to the second, in UTC: `14:03:05`."""
    return (moment(at) if isinstance(at, Timestamp) else at).strftime("%H:%M:%S")


def day(at: Timestamp | datetime) -> str:
    """A day and time, in UTC: `2026-03-05 14:03:05 UTC`."""
    return (moment(at) if isinstance(at, Timestamp) else at).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(at: Timestamp | datetime, now: datetime) -> str:
    """How long ago: `12 s ago`, `3 h ago`; `now` for what is less than a second ago or still to come."""
    past = (now - (moment(at) if isinstance(at, Timestamp) else at)).total_seconds()
    return f"{age(past)} ago" if past >= 1 else "now"


def age(past_s: float) -> str:
    """A length of time, coarsely: `12 s`, `3 h`, `2 d`."""
    for length_s, unit in _AGES:
        if past_s >= length_s:
            return f"{past_s // length_s:.0f} {unit}"
    return "0 s"


def _three(value: float) -> str:
    """Three digits that count, at most: 0.42, 1.8, 18, 180."""
    if abs(value) >= 99.5:
        return f"{value:.0f}"
    if abs(value) >= 9.95:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
