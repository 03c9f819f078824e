"""What agents counted by the minute, kept beside the spans: exact, where spans are samples. Methods block.

Several processes may count at once: what was counted last of an agent is in the same database, and read and written in
the transaction that counts on.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, case, delete, func, select, text, true, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.spans.counting import MAX_COUNT, Observed, difference, split
from upriver_control.spans.schema import counted, rates
from upriver_control.store.database import Database

MAX_RATES: Final = 20_000
BATCH: Final = 500
"""Agents' slots of one transaction."""
_LOCK: Final = 0x75707273  # an advisory lock of our own: "uprs"
_Sums = dict[tuple[int, str, str, str], list[int]]


class RateRow(NamedTuple):
    """Rows that agents of a region were asked in a minute since the epoch, those that went up, and their lessons."""

    minute: int
    region: str
    model: str
    version: str
    rows: int
    escalated_rows: int
    lessons: int


class RateTable:
    """The tables `rates` and `counted`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, observed: Iterable[Observed], now_minute: int) -> None:
        """Counts on by what agents said, each observation once, and their lessons once for this minute."""
        waiting = iter(sorted(observed, key=lambda one: one.at))
        while batch := list(islice(waiting, BATCH)):
            self._database.write(partial(_count, batch=batch, now_minute=now_minute))

    def between(
        self, from_minute: int, until_minute: int, model: str = "", region: str = "", step: int = 1
    ) -> Sequence[RateRow]:
        """The sums of each `step` minutes, by time; `until_minute` is not included, what is empty is any.

        Steps begin at multiples of themselves; one that is as long as the whole time begins with it.
        Lessons are those of a step's last minute; of several versions in it, each has its own agents'.
        """
        begun = from_minute if step >= until_minute - from_minute else 0
        start = (rates.c.minute - (rates.c.minute - begun) % step).label("start")
        chosen = and_(
            rates.c.minute >= from_minute,
            rates.c.minute < until_minute,
            rates.c.model == model if model else true(),
            rates.c.region == region if region else true(),
        )
        # Lessons are told in few of the minutes in which something is counted.
        taught = select(start, rates.c.region, rates.c.model, func.max(rates.c.minute).label("last"))
        taught = taught.where(chosen, rates.c.lessons > 0).group_by(start, rates.c.region, rates.c.model)
        keys = (start, rates.c.region, rates.c.model, rates.c.version)
        sums = (func.sum(rates.c.rows), func.sum(rates.c.escalated_rows))
        asked = select(*keys, *sums).where(chosen).group_by(*keys).order_by(*keys).limit(MAX_RATES)

        def run(connection: Connection) -> tuple[Sequence[Any], Mapping[Any, int]]:
            found = connection.execute(asked).all()
            last = {(row.start, row.region, row.model): row.last for row in connection.execute(taught)}
            return found, _lessons(connection, last)

        found, lessons = self._database.read(run)
        rows = []
        for minute, where, whose, version, rows_, escalated in found:
            here = lessons.get((minute, where, whose, version), 0)
            rows.append(RateRow(minute, where, whose, version, int(rows_), int(escalated), here))
        return rows

    def sweep(self, before_minute: int) -> int:
        """Drops what is older; gives how many minutes' rates went."""
        old = delete(counted).where(counted.c.at < before_minute * 60.0)
        gone = delete(rates).where(rates.c.minute < before_minute)

        def run(connection: Connection) -> int:
            connection.execute(old)
            return int(connection.execute(gone).rowcount)

        return self._database.write(run)


def _count(connection: Connection, batch: Sequence[Observed], now_minute: int) -> None:
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    slots = sorted({(one.agent, one.model) for one in batch})
    found = connection.execute(select(counted).where(tuple_(counted.c.agent, counted.c.model).in_(slots))).all()
    known = {(row.agent, row.model): Observed(*(getattr(row, name) for name in Observed._fields)) for row in found}
    taught = {(row.agent, row.model): int(row.lessons_minute) for row in found}
    sums: _Sums = {}
    for one in batch:
        slot = one.agent, one.model
        happened = difference(known.get(slot), one)
        if happened is None:
            continue
        key = one.region, one.model, one.version
        for minute, asked, escalated in split(happened, one.at):
            _add(sums, (minute, *key), asked, escalated, 0)
        if one.lessons > 0 and taught.get(slot, -1) < now_minute:
            _add(sums, (now_minute, *key), 0, 0, one.lessons)
            taught[slot] = now_minute
        known[slot] = one
    _keep(connection, sums)
    rows = [known[slot]._asdict() | {"lessons_minute": taught.get(slot, -1)} for slot in slots if slot in known]
    _upsert(connection, counted, ["agent", "model"], rows)


def _add(sums: _Sums, key: tuple[int, str, str, str], *numbers: int) -> None:
    had = sums.setdefault(key, [0, 0, 0])
    for index, number in enumerate(numbers):
        had[index] = min(had[index] + number, MAX_COUNT)


def _keep(connection: Connection, sums: _Sums) -> None:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = dialect.insert(rates)
    added = {
        name: case(
            (rates.c[name] > MAX_COUNT - made.excluded[name], MAX_COUNT), else_=rates.c[name] + made.excluded[name]
        )
        for name in ("rows", "escalated_rows", "lessons")
    }
    keys = ["minute", "region", "model", "version"]
    if rows := [RateRow(*key, *numbers)._asdict() for key, numbers in sums.items()]:
        connection.execute(made.on_conflict_do_update(index_elements=keys, set_=added), rows)


def _upsert(connection: Connection, table: Any, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = dialect.insert(table)
    changed = {column.name: made.excluded[column.name] for column in table.c if column.name not in keys}
    if rows:
        connection.execute(made.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _lessons(
    connection: Connection, last: Mapping[tuple[int, str, str], int]
) -> Mapping[tuple[int, str, str, str], int]:
    """The lessons of each version in the minutes that are given for steps, regions and models."""
    wanted = {(minute, region, model): start for (start, region, model), minute in last.items()}
    places = list(wanted)
    found: dict[tuple[int, str, str, str], int] = {}
    for first in range(0, len(places), BATCH):
        chosen = tuple_(rates.c.minute, rates.c.region, rates.c.model).in_(places[first : first + BATCH])
        for row in connection.execute(select(rates).where(chosen)):
            found[wanted[row.minute, row.region, row.model], row.region, row.model, row.version] = row.lessons
    return found
