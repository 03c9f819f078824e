"""Looking for questions among the hops: pages of them, figures over them, and which agent asks which."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, func, select, text

from upriver_control.spans.filters import Condition, Filter, conditions, sql
from upriver_control.spans.histogram import Group
from upriver_control.spans.kinds import columns
from upriver_control.spans.rows import HopRow
from upriver_control.spans.schema import hops, kinds

MAX_PAGE: Final = 1000
MAX_SUMMED: Final = 1_000_000
"""Rows of all agents that figures look at, the newest before the end of the time that is asked for."""
MAX_PROBED: Final = 15_000
"""The same where any hop of a trace will do and many have what is asked for: then each trace is looked into."""
_FEW: Final = 6_000
"""Rows of which it is quicker to look at each than to wait until enough of them come by."""
_COLUMNS: Final = ", ".join(columns())
_EDGES: Final = (
    "SELECT agent, upstream, bucket, COUNT(*), SUM(failed) FROM calls WHERE at_ns >= :since"
    " GROUP BY agent, upstream, bucket"
)


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
    """Questions counted by how long they took, who answered and why.

    `from_ns` and `until_ns` are when the first and the last of them were asked, 0 without any. `truncated`: there may
    be more before `from_ns`, where nobody looked.
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
    """Calls from one agent up to another, by how long they took; `failed` are those that did."""

    from_agent: str
    to_agent: str
    bucket: int
    calls: int
    failed: int


def questions(connection: Connection, wanted: Filter, after: Place | None = None, size: int = 50) -> Page:
    """Questions that fit, newest first, behind a place."""
    size = max(1, min(size, MAX_PAGE))
    needed = conditions(wanted)
    where, told = sql(needed, gathered=_gathered(connection, needed, _FEW) is True, by_kind=False)
    values = dict(told)
    if after is not None:
        where += " AND hops.at_ns <= :at_ns AND (hops.at_ns < :at_ns OR hops.id < :id)"
        values |= {"at_ns": after.at_ns, "id": after.id}
    # Made of our own names alone; see `sql`.
    found = f"SELECT hops.* FROM hops WHERE {where} ORDER BY hops.at_ns DESC, hops.id DESC LIMIT :size"  # noqa: S608 - see above
    whole = f"SELECT {_COLUMNS}, hops.id FROM ({found}) AS hops JOIN kinds ON kinds.id = hops.kind"  # noqa: S608 - see above
    asked = text(f"{whole} ORDER BY hops.at_ns DESC, hops.id DESC")
    rows = connection.execute(asked, {**values, "size": size + 1}).all()
    shown = rows[:size]
    last = shown[-1] if len(rows) > size else None
    return Page(tuple(_hop(row) for row in shown), Place(last.at_ns, last.id) if last is not None else None)


def figures(
    connection: Connection, wanted: Filter, summed: int = MAX_SUMMED, probed: int = MAX_PROBED, few: int = _FEW
) -> Figures:
    """Questions that fit, counted."""
    needed = conditions(wanted)
    gathered = _gathered(connection, needed, few)
    from_ns = _from(connection, wanted, probed if gathered is False else summed)
    cut = from_ns > wanted.from_ns
    single = any(condition.column in ("trace", "question") for condition in needed)
    where, told = sql(needed, gathered=gathered is True, by_kind=not (single or cut or gathered))
    values = dict(told)
    if cut:
        where += " AND hops.at_ns >= :cut"
        values["cut"] = from_ns
    # Made of our own names alone; see `sql`.
    counted = "COUNT(*) AS kept, SUM(hops.weight) AS weight, MIN(hops.at_ns) AS first, MAX(hops.at_ns) AS last"
    by_kind = f"SELECT hops.kind, hops.bucket, {counted} FROM hops WHERE {where} GROUP BY hops.kind, hops.bucket"  # noqa: S608 - see above
    asked = text(
        "SELECT bucket, answered_tier, reason, SUM(kept), SUM(weight), MIN(first), MAX(last)"  # noqa: S608 - see above
        f" FROM ({by_kind}) AS found JOIN kinds ON kinds.id = found.kind GROUP BY bucket, answered_tier, reason"
    )
    found = connection.execute(asked, values).all()
    return Figures(
        tuple(Group(row[0], row[1], row[2], int(row[3]), float(row[4])) for row in found),
        min((int(row[5]) for row in found), default=0),
        max((int(row[6]) for row in found), default=0),
        cut,
    )


def _from(connection: Connection, wanted: Filter, most: int) -> int:
    """From when on so many rows, or a few less, were asked before the end of what is wanted; 0 when there are less."""
    first = connection.scalar(select(func.min(hops.c.id)))  # one by one, so that each is but looked up
    if first is None or newest(connection) - first < most:
        return 0
    before = select(hops.c.at_ns).order_by(hops.c.at_ns.desc()).offset(most).limit(1)
    if wanted.until_ns:
        before = before.where(hops.c.at_ns < wanted.until_ns)
    found = connection.scalar(before)
    return 0 if found is None else int(found) + 1


def one(connection: Connection, trace: bytes, span: bytes) -> HopRow | None:
    """What is kept of a question at one agent; None when it is not here."""
    found = connection.execute(_told().where(hops.c.trace == trace, hops.c.span == span)).first()
    return None if found is None else _hop(found)


def first_of(connection: Connection, question: str) -> tuple[bytes, bytes] | None:
    """The trace and span of where a question was first asked: one that is asked again has the same id."""
    asked = select(hops.c.trace, hops.c.span).join(kinds, kinds.c.id == hops.c.kind)
    wanted = asked.where(hops.c.question == question, hops.c.question != text("''"))
    found = connection.execute(wanted.order_by(kinds.c.hop, hops.c.at_ns).limit(1)).first()
    return None if found is None else (bytes(found.trace), bytes(found.span))


def thresholds(connection: Connection, rows: Iterable[HopRow]) -> dict[tuple[bytes, str], float]:
    """What those who answered held these questions' answers against, by trace and agent; of those that are here."""
    traces = sorted({row.trace for row in rows if row.answered_by not in ("", row.agent)})
    if not traces:
        return {}
    asked = select(hops.c.trace, kinds.c.agent, hops.c.threshold).join(kinds, kinds.c.id == hops.c.kind)
    found = connection.execute(asked.where(hops.c.trace.in_(traces), hops.c.threshold.is_not(None)))
    return {(bytes(row.trace), row.agent): row.threshold for row in found}


def newest(connection: Connection) -> int:
    """The id of the row that came last; 0 without any."""
    return int(connection.scalar(select(func.max(hops.c.id))) or 0)


def fresh(connection: Connection, after: int, most: int) -> Fresh:
    """The rows that came behind an id, the newest first, at most so many."""
    asked = _told().where(hops.c.id > after)
    found = connection.execute(asked.order_by(hops.c.id.desc()).limit(most)).all()
    last, skipped = (found[0].id if found else after), 0
    if len(found) == most:
        counted = select(func.count()).select_from(hops).where(hops.c.id > after, hops.c.id <= last)
        skipped = int(connection.scalar(counted) or 0) - most
    return Fresh(tuple(_hop(row) for row in found), last, skipped)


def edges(connection: Connection, since_ns: int) -> list[Edge]:
    """Calls from an agent up to another since then."""
    found = connection.execute(text(_EDGES), {"since": since_ns}).all()
    return [Edge(row[0], row[1], int(row[2]), int(row[3]), int(row[4])) for row in found]


def _gathered(connection: Connection, needed: Sequence[Condition], few: int) -> bool | None:
    """Whether the rows that any hop of a trace may be are so few that their traces are best gathered; None without."""
    anywhere = [replace(condition, any_hop=False) for condition in needed if condition.any_hop]
    if not anywhere:
        return None
    where, values = sql([*anywhere, *(condition for condition in needed if condition.column == "at_ns")])
    some = f"SELECT COUNT(*) FROM (SELECT 1 FROM hops WHERE {where} LIMIT :few) AS found"  # noqa: S608 - our own names
    return int(connection.scalar(text(some), {**values, "few": few}) or 0) < few


def _told() -> Select[Any]:
    """Rows with all that `HopRow` has, and their ids."""
    named = ((hops.c if name in hops.c else kinds.c)[name] for name in HopRow._fields)
    return select(*named, hops.c.id).join(kinds, kinds.c.id == hops.c.kind)


def _hop(row: Any) -> HopRow:
    read = HopRow(*row[: len(HopRow._fields)])
    return read._replace(trace=bytes(read.trace), span=bytes(read.span))
