"""What goes so that the rest fits: what is too old, then of the oldest half what is not remarkable, then the oldest.

Questions that were escalated, degraded, not resolved or failed are so kept twice as long as others. Each step is a
transaction of its own and small, so that spans that come in meanwhile wait shortly.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from upriver_control.spans.flags import IMPORTANT
from upriver_control.spans.rows import MAX_CALL_AGE_NS
from upriver_control.spans.schema import calls, cursors, kinds, origins, spans
from upriver_control.spans.store import size_of
from upriver_control.store.database import Database

STEP: Final = 5000
"""Ids of spans that one transaction looks at."""
MAX_STEPS: Final = 400
"""Of one sweep; what is left is the next one's."""
FREED: Final = 2000
"""Pages that a file gives back after a sweep, where it has more than `MAX_FREE` bytes of them."""
MAX_FREE: Final = 64 << 20
_ORDINARY: Final = "ordinary"
_GRACE_NS: Final = 60 * 10**9
_REMARKABLE: Final = (
    "SELECT 1 FROM hops JOIN kinds ON kinds.id = hops.kind"
    " WHERE hops.trace = spans.trace AND (kinds.flags & :important) <> 0"
)
_SWEPT: Final = f"spans.id > :low AND spans.id <= :high AND (:every = 1 OR NOT EXISTS ({_REMARKABLE}))"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, and how long after it came."""

    max_bytes: int
    max_age_ns: int


@dataclass(frozen=True, slots=True)
class Swept:
    """How many spans went, and how many bytes are left."""

    spans: int
    bytes: int


class Sweeper:
    """Keeps a database of spans within bounds. One sweep at a time."""

    def __init__(self, database: Database, bounds: Bounds) -> None:
        self._database = database
        self._bounds = bounds

    def sweep(self, now_ns: int) -> Swept:
        """Deletes what is too old and what is too much."""
        gone = 0
        for _ in range(MAX_STEPS):
            went = self._database.write(lambda connection: self._old(connection, now_ns - self._bounds.max_age_ns))
            gone += went
            if not went:
                break
        # PostgreSQL tells sizes late: there, what is too much now is taken once.
        size = self._database.read(size_of)
        for _ in range(MAX_STEPS):
            if size <= self._bounds.max_bytes:
                break
            step = self._database.write(_step)
            if step is None:
                break
            gone += step
            if self._database.is_sqlite:
                size = self._database.read(size_of)
            else:
                size -= step * max(1, size // max(1, self._database.read(_rows)))
        self._database.write(lambda connection: _unused(connection, now_ns))
        past = calls.delete().where(calls.c.at_ns < now_ns - 2 * MAX_CALL_AGE_NS)
        self._database.write(lambda connection: connection.execute(past))
        if self._database.is_sqlite:
            self._database.write(_give_back)
        return Swept(gone, size)

    def _old(self, connection: Connection, before_ns: int) -> int:
        low = connection.scalar(select(func.min(spans.c.id)))
        if low is None:
            return 0
        some = select(spans.c.id, spans.c.received_ns).where(spans.c.id < low + STEP).subquery()
        high = connection.scalar(select(func.max(some.c.id)).where(some.c.received_ns < before_ns))
        return _delete(connection, low - 1, high, every=True) if high is not None else 0


def _give_back(connection: Connection) -> None:
    """Makes a file of SQLite's shorter, where much of it is free."""
    names = ("freelist_count", "page_size")
    free, size = (int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in names)
    for _ in range(min(FREED, free) if free * size > MAX_FREE else 0):
        # It has no columns, so the driver steps it once, and each step frees a page.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)").close()


def _rows(connection: Connection) -> int:
    return int(connection.scalar(select(func.count()).select_from(spans)) or 0)


def _step(connection: Connection) -> int | None:
    """The next spans to go; None when there are none."""
    low, high = connection.execute(select(func.min(spans.c.id), func.max(spans.c.id))).one()
    if low is None:
        return None
    reached = max(connection.scalar(select(cursors.c.id).where(cursors.c.name == _ORDINARY)) or 0, low - 1)
    if reached - low < (high - low) // 2:
        until = min(reached + STEP, high)
        gone = _delete(connection, reached, until, every=False)
        _reach(connection, until)
        return gone
    return _delete(connection, low - 1, low - 1 + STEP, every=True)


def _delete(connection: Connection, low: int, high: int, every: bool) -> int:
    """Deletes spans, with what was made of them, and counts those that somebody had not come to yet."""
    values = {"low": low, "high": high, "every": int(every), "important": int(IMPORTANT)}
    # Made of this file's own names alone.
    ids = f"SELECT spans.trace, spans.span FROM spans WHERE {_SWEPT}"  # noqa: S608 - see above
    for table in ("hops", "links"):
        connection.execute(text(f"DELETE FROM {table} WHERE (trace, span) IN ({ids})"), values)  # noqa: S608 - see above
    waiting = connection.execute(select(cursors.c.name, cursors.c.id).where(cursors.c.name.like("forward:%"))).all()
    for name, reached in waiting:
        if reached < high:
            missed = text(f"SELECT COUNT(*) FROM spans WHERE {_SWEPT}")  # noqa: S608 - see above
            lost = int(connection.scalar(missed, {**values, "low": max(low, reached)}) or 0)
            connection.execute(cursors.update().where(cursors.c.name == name).values(lost=cursors.c.lost + lost))
    done: Any = connection.execute(text(f"DELETE FROM spans WHERE {_SWEPT}"), values)  # noqa: S608 - see above
    return int(done.rowcount)


def _reach(connection: Connection, number: int) -> None:
    moved = connection.execute(cursors.update().where(cursors.c.name == _ORDINARY).values(id=number))
    if not moved.rowcount:
        connection.execute(cursors.insert().values(name=_ORDINARY, id=number, lost=0))


def _unused(connection: Connection, now_ns: int) -> None:
    """Origins and kinds go that no span is of: those of which none came since the oldest did."""
    oldest = connection.scalar(select(spans.c.received_ns).order_by(spans.c.id).limit(1))
    if oldest is not None and oldest > now_ns:  # the clock was set back: what came since says nothing of what is unused
        return
    before = (now_ns if oldest is None else oldest) - _GRACE_NS
    connection.execute(origins.delete().where(origins.c.seen_ns < before))
    connection.execute(kinds.delete().where(kinds.c.seen_ns < before))
