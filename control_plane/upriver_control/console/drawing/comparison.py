"""Two versions of a model side by side: what they were asked, what went up, and how they compare with the top."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from upriver.v1 import audit_pb2, mesh_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing import shares
from upriver_control.console.drawing.svg import Markup, tag
from upriver_control.console.drawing.table import Column, table
from upriver_control.telling.audits import interval

RANGES: Final = {"1h": ("the last hour", 3600), "1d": ("the last day", 86_400), "7d": ("the last 7 days", 604_800)}
"""What can be looked at: its words, and its length in seconds."""
WIDE: Final = 570.0
NARROW: Final = 320.0

_EXACT: Final = "Agents counted, and it is exact. Audits are all that are kept, of any region and time."


@dataclass(frozen=True, slots=True)
class Choice:
    """What is compared: two versions by short name, a region ("" is all) and one of RANGES."""

    first: str
    second: str
    region: str
    span: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted: rates over the whole range and step by step, audits that are kept, and the range's ends."""

    whole: Sequence[mesh_pb2.Rate]
    steps: Sequence[mesh_pb2.Rate]
    audits: Sequence[audit_pb2.AuditSummary]
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class _Sum:
    rows: int
    up: int
    lessons: int
    audits: int
    passed: int
    differ: int


def form(model: str, versions: Sequence[str], regions: Iterable[str], choice: Choice) -> Markup:
    """What can be chosen, as a form whose choices are the page's address."""
    spans = [(name, told) for name, (told, _) in RANGES.items()]
    places = [("", "all regions"), *((name, name) for name in sorted(set(regions)) if name)]
    return tag(
        "form",
        {"method": "get", "action": f"/models/{model}", "class": "choices"},
        _select("Version", "a", [(name, name) for name in versions], choice.first),
        _select("against", "b", [(name, name) for name in versions], choice.second),
        _select("Region", "region", places, choice.region),
        _select("Over", "range", spans, choice.span),
        tag("button", {"type": "submit"}, "Compare"),
    )


def draw(choice: Choice, digests: Mapping[str, str], counted: Counted) -> Markup:
    """Draws both versions; `digests` says which digest a short name has."""
    first, second = (_sum(digests.get(name, ""), counted) for name in (choice.first, choice.second))
    where = f"region {choice.region}" if choice.region else "all regions"
    began, ended = (units.day(datetime.fromtimestamp(at, UTC)) for at in (counted.begin, counted.end))
    if not (first.rows or second.rows or first.audits or second.audits):
        what = f"Neither {choice.first} nor {choice.second} was asked anything in {where} from {began} to {ended}."
        return words.nothing(what, "", "Agents' counters come with their reports; choose a longer time or all regions.")
    rows = [
        ["Rows answered", *(f"{one.rows:,}" for one in (first, second))],
        ["went up", *(_part(one.up, one.rows) for one in (first, second))],
        ["Lessons at the end", *(f"{one.lessons:,}" for one in (first, second))],
        ["Audits kept", *(f"{one.audits:,}" for one in (first, second))],
        ["passed the threshold", *(_part(one.passed, one.audits) for one in (first, second))],
        ["differ from the top", *(_part(one.differ, one.passed) for one in (first, second))],
    ]
    columns = (Column("Counted"), Column(choice.first, numbers=True), Column(choice.second, numbers=True))
    return tag(
        "div",
        {"class": "stack"},
        table(f"{where}, {began} to {ended}. {_EXACT}", columns, rows),
        tag("div", {"class": "columns"}, _courses(choice, digests, counted), _whiskers(choice, (first, second))),
        _by_region(choice, digests, counted) if not choice.region else None,
    )


def _courses(choice: Choice, digests: Mapping[str, str], counted: Counted) -> Markup:
    lines = [shares.Course(name, _course(digests.get(name, ""), counted.steps)) for name in _names(choice)]
    what = f"Share of rows that went up, over {RANGES[choice.span][0]}"
    return _twice(what, *(shares.courses(lines, counted.begin, counted.end, what, width) for width in (WIDE, NARROW)))


def _whiskers(choice: Choice, sums: tuple[_Sum, _Sum]) -> Markup:
    found = [
        shares.Whisker(name, one.differ, one.passed, *interval(one.differ, one.passed))
        for name, one in zip(_names(choice), sums, strict=True)
    ]
    what = (
        "Answers above the threshold that differ from the top's; the bar is where the share lies with 95 % confidence"
    )
    return _twice(what, *(shares.whiskers(found, what, width) for width in (WIDE, NARROW)))


def _by_region(choice: Choice, digests: Mapping[str, str], counted: Counted) -> Markup | None:
    wanted = [digests.get(name, "") for name in _names(choice)]
    regions = sorted({rate.region for rate in counted.whole if rate.version in wanted})
    if len(regions) < 2:
        return None
    columns = [
        Column("Region"),
        *(Column(f"{name}: {what}", numbers=True) for name in _names(choice) for what in ("rows", "up")),
    ]
    rows = []
    for region in regions:
        here = Counted([rate for rate in counted.whole if rate.region == region], (), (), 0.0, 0.0)
        sums = [_sum(digest, here) for digest in wanted]
        rows.append(
            [region or "no region", *(cell for one in sums for cell in (f"{one.rows:,}", _part(one.up, one.rows)))]
        )
    return table(f"By region, over {RANGES[choice.span][0]}", columns, rows)


def _names(choice: Choice) -> tuple[str, str]:
    return choice.first, choice.second


def _sum(digest: str, counted: Counted) -> _Sum:
    rates = [rate for rate in counted.whole if digest and rate.version == digest]
    audits = [one for one in counted.audits if digest and one.version_digest == digest]
    return _Sum(
        sum(rate.rows for rate in rates),
        sum(rate.escalated_rows for rate in rates),
        sum(rate.lessons for rate in rates),
        sum(one.audits for one in audits),
        sum(one.passed for one in audits),
        sum(one.disagreements for one in audits),
    )


def _course(digest: str, steps: Sequence[mesh_pb2.Rate]) -> tuple[tuple[float, float], ...]:
    asked: dict[float, tuple[int, int]] = {}
    for rate in steps:
        if digest and rate.version == digest:
            at = rate.time.seconds + rate.time.nanos / 1e9
            rows, up = asked.get(at, (0, 0))
            asked[at] = (rows + rate.rows, up + rate.escalated_rows)
    return tuple((at, up / rows) for at, (rows, up) in sorted(asked.items()) if rows)


def _part(count: int, total: int) -> str:
    return f"{count:,} ({units.share(count / total)})" if total else f"{count:,}"


def _twice(what: str, wide: Markup, narrow: Markup) -> Markup:
    return tag(
        "figure",
        None,
        tag("figcaption", {"class": "quiet"}, what),
        tag("div", {"class": "wide"}, wide),
        tag("div", {"class": "narrow"}, narrow),
    )


def _select(label: str, name: str, options: Sequence[tuple[str, str]], chosen: str) -> Markup:
    drawn = [tag("option", {"value": value, "selected": value == chosen}, told) for value, told in options]
    return tag("label", None, f"{label} ", tag("select", {"name": name, "data-now": True}, *drawn))
