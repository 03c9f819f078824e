"""What agents of a region pool of what they have learnt, and the head that most of them run."""

from collections.abc import Sequence

from upriver.v1 import region_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Child, Markup, tag
from upriver_control.console.drawing.table import Column, Row, table

MOST = 50
"""Rows of the table."""


def draw(regions: Sequence[region_pb2.RegionSummary]) -> Markup:
    """A table, by region and model; nothing where nothing is pooled."""
    if not regions:
        return Markup()
    columns = (
        Column("Region"),
        Column("Model"),
        Column("Version", narrow=False),
        Column("Agents", numbers=True, narrow=False),
        Column("Lessons", numbers=True),
        Column("Heads tested, ever", numbers=True),
        Column("Most agents answer with"),
    )
    ordered = sorted(regions, key=lambda one: (one.region, one.model, one.version_digest))
    more = f", {MOST} of {len(regions)}" if len(regions) > MOST else ""
    return table(f"Pooled by region{more}", columns, [_row(one) for one in ordered[:MOST]])


def _row(one: region_pb2.RegionSummary) -> Row:
    cells: list[Child] = [
        one.region or "no region",
        one.model.removeprefix("models/"),
        tag("code", None, words.digest(one.version_digest)),
        units.count(one.agents),
        units.count(one.lessons),
        units.count(one.attempts),
        _head(one),
    ]
    return Row(cells, key=f"{one.region} {one.model} {one.version_digest}")


def _head(one: region_pb2.RegionSummary) -> Child:
    if not one.head_digest:
        return "no region's head"
    scope = {"region": "of its region", "global": "of all regions"}.get(one.scope, "not made here")
    return tag("span", None, "head ", tag("code", None, words.digest(one.head_digest)), f", {scope}")
