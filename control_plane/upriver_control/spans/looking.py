"""Looking for questions among the hops: pages of them, figures over them, and which agent asks which."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select, text

from upriver_control.spans.filters import Filter, Operand, conditions, sql
from upriver_control.spans.histogram import Group
from upriver_control.spans.rows import HopRow
from upriver_control.spans.schema import hops

MAX_PAGE: Final = 1000
MAX_SUMMED: Final = 200_000
"""Questions that figures are made of, the newest."""
_FEW: Final = 20_000
"""Questions of which it is quicker to look at each than to wait until enough of them come by."""
_COLUMNS: Final = ", ".join(f"hops.{name}" for name in HopRow._fields)
_COUNTED: Final = "hops.bucket, hops.answered_tier, hops.reason, hops.weight, hops.at_ns"
_EDGES: Final = """
SELECT below.agent, above.agent, above.bucket, COUNT(*), SUM(CASE WHEN (above.flags & 8) <> 0 THEN 1 ELSE 0 END)
FROM hops AS below JOIN hops AS above ON above.trace = below.trace AND above.hop = below.hop + 1
WHERE below.at_ns >= :since AND (below.flags & 1) <> 0 AND above.agent <> below.agent
GROUP BY below.agent, above.agent, above.bucket
"""


class Place(NamedTuple):
    """Where a list of questions goes on: behind this one."""

    at_ns: int
    id: int


@dataclass(frozen=True, slots=True)
class Page:
    """Questions, newest first; `after` is where the next page begins, None on the last."""

    questions: tuple[HopRow, ...]
    after: Place | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Questions counted by how long they took, who answered and why; of the newest `MAX_SUMMED` if `truncated`.

    `from_ns` and `until_ns` are when the first and the last of them were asked, 0 without any.
    """

    groups: tuple[Group, ...]
    from_ns: int
    until_ns: int
    truncated: bool


class Fresh(NamedTuple):
    """Rows that came behind an id, the newest; `last` is the id of the last one, `skipped` how many more came."""

    rows: tuple[HopRow, ...]
    last: int
    skipped: int


class Edge(NamedTuple):
    """Questions that went from one agent up to another, by how long they took there; `failed` are those that did."""

    from_agent: str
    to_agent: str
    bucket: int
    questions: int
    failed: int


def questions(connection: Connection, wanted: Filter, after: Place | None = None, size: int = 50) -> Page:
    """Questions that fit, newest first, behind a place."""
    size = max(1, min(size, MAX_PAGE))
    where, values = _where(connection, wanted)
    if after is not None:
        where += " AND hops.at_ns <= :at_ns AND (hops.at_ns < :at_ns OR hops.id < :id)"
        values |= {"at_ns": after.at_ns, "id": after.id}
    # Made of our own names alone; see `sql`.
    asked = f"SELECT {_COLUMNS}, hops.id FROM hops WHERE {where} ORDER BY hops.at_ns DESC, hops.id DESC LIMIT :size"  # noqa: S608 - see above
    found = connection.execute(text(asked), {**values, "size": size + 1}).all()
    shown = found[:size]
    last = shown[-1] if len(found) > size else None
    return Page(tuple(_hop(row) for row in shown), Place(last.at_ns, last.id) if last is not None else None)


def figures(connection: Connection, wanted: Filter) -> Figures:
    """Questions that fit, counted."""
    where, values = _where(connection, wanted)
    # Made of our own names alone; see `sql`.
    newest = f"SELECT {_COUNTED} FROM hops WHERE {where} ORDER BY hops.at_ns DESC LIMIT :most"  # noqa: S608 - see above
    counted = "bucket, answered_tier, reason, COUNT(*), SUM(weight), MIN(at_ns), MAX(at_ns)"
    asked = f"SELECT {counted} FROM ({newest}) AS newest GROUP BY bucket, answered_tier, reason"  # noqa: S608 - see above
    found = connection.execute(text(asked), {**values, "most": MAX_SUMMED}).all()
    groups = tuple(Group(row[0], row[1], row[2], int(row[3]), float(row[4])) for row in found)
    return Figures(
        groups,
        min((row[5] for row in found), default=0),
        max((row[6] for row in found), default=0),
        sum(group.kept for group in groups) >= MAX_SUMMED,
    )


def one(connection: Connection, trace: bytes, span: bytes) -> HopRow | None:
    """What is kept of a question at one agent; None when it is not here."""
    asked = select(*(hops.c[name] for name in HopRow._fields)).where(hops.c.trace == trace, hops.c.span == span)
    found = connection.execute(asked).first()
    return None if found is None else _hop(found)


def first_of(connection: Connection, question: str) -> tuple[bytes, bytes] | None:
    """The trace and span of where a question was first asked: one that is asked again has the same id."""
    asked = select(hops.c.trace, hops.c.span).where(hops.c.question == question, hops.c.question != "")
    found = connection.execute(asked.order_by(hops.c.hop, hops.c.at_ns).limit(1)).first()
    return None if found is None else (bytes(found.trace), bytes(found.span))


def thresholds(connection: Connection, rows: Iterable[HopRow]) -> dict[tuple[bytes, str], float]:
    """What those who answered held these questions' answers against, by trace and agent; of those that are here."""
    traces = sorted({row.trace for row in rows if row.answered_by not in ("", row.agent)})
    if not traces:
        return {}
    asked = select(hops.c.trace, hops.c.agent, hops.c.threshold)
    found = connection.execute(asked.where(hops.c.trace.in_(traces), hops.c.threshold.is_not(None)))
    return {(bytes(row.trace), row.agent): row.threshold for row in found}


def newest(connection: Connection) -> int:
    """The id of the row that came last; 0 without any."""
    return int(connection.scalar(select(func.max(hops.c.id))) or 0)


def fresh(connection: Connection, after: int, most: int) -> Fresh:
    """The rows that came behind an id, the newest first, at most so many."""
    asked = select(*(hops.c[name] for name in HopRow._fields), hops.c.id).where(hops.c.id > after)
    found = connection.execute(asked.order_by(hops.c.id.desc()).limit(most)).all()
    last, skipped = (found[0].id if found else after), 0
    if len(found) == most:
        counted = select(func.count()).select_from(hops).where(hops.c.id > after, hops.c.id <= last)
        skipped = int(connection.scalar(counted) or 0) - most
    return Fresh(tuple(_hop(row) for row in found), last, skipped)


def edges(connection: Connection, since_ns: int) -> list[Edge]:
    """Questions that went up from an agent to one above since then, of those whose both hops are here."""
    found = connection.execute(text(_EDGES), {"since": since_ns}).all()
    return [Edge(row[0], row[1], int(row[2]), int(row[3]), int(row[4])) for row in found]


def _where(connection: Connection, wanted: Filter) -> tuple[str, dict[str, Operand]]:
    """The conditions; where any hop of a trace will do, in the way that is quicker for as many of them as there are."""
    needed = conditions(wanted)
    gathered = False
    if anywhere := [replace(condition, any_hop=False) for condition in needed if condition.any_hop]:
        where, values = sql([*anywhere, *(condition for condition in needed if condition.column == "at_ns")])
        few = f"SELECT COUNT(*) FROM (SELECT 1 FROM hops WHERE {where} LIMIT :few) AS found"  # noqa: S608 - our own names
        gathered = _count(connection, few, values) < _FEW
    where, values = sql(needed, gathered=gathered)
    return where, dict(values)


def _count(connection: Connection, asked: str, values: Mapping[str, Operand]) -> int:
    return int(connection.scalar(text(asked), {**values, "few": _FEW}) or 0)


def _hop(row: Any) -> HopRow:
    read = HopRow(*row[: len(HopRow._fields)])
    return read._replace(trace=bytes(read.trace), span=bytes(read.span))
