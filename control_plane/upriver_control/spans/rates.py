"""What agents counted by the minute, kept beside the spans: exact, where spans are samples. Methods block."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.spans.schema import rates
from upriver_control.store.database import Database

MAX_RATES: Final = 20_000


class RateRow(NamedTuple):
    """Rows that agents of a region were asked in a minute since the epoch, those that went up, and lessons learnt."""

    minute: int
    region: str
    model: str
    version: str
    rows: int
    escalated_rows: int
    lessons: int


class RateTable:
    """The table `rates`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, counted: Iterable[RateRow]) -> None:
        """Adds to what is there of the same minute, region, model and version."""
        rows = [row._asdict() for row in counted]
        if not rows:
            return

        def run(connection: Connection) -> None:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            made = dialect.insert(rates)
            sums = {name: rates.c[name] + made.excluded[name] for name in ("rows", "escalated_rows", "lessons")}
            keys = ["minute", "region", "model", "version"]
            connection.execute(made.on_conflict_do_update(index_elements=keys, set_=sums), rows)

        self._database.write(run)

    def between(
        self, from_minute: int, until_minute: int, model: str = "", region: str = "", step: int = 1
    ) -> Sequence[RateRow]:
        """The sums of each `step` minutes, by time; `until_minute` is not included, what is empty is any."""
        start = (rates.c.minute - rates.c.minute % step).label("start")
        keys = (start, rates.c.region, rates.c.model, rates.c.version)
        asked = (
            select(*keys, *(func.sum(rates.c[name]) for name in ("rows", "escalated_rows", "lessons")))
            .where(rates.c.minute >= from_minute, rates.c.minute < until_minute)
            .group_by(*keys)
            .order_by(*keys)
            .limit(MAX_RATES)
        )
        if model:
            asked = asked.where(rates.c.model == model)
        if region:
            asked = asked.where(rates.c.region == region)
        found = self._database.read(lambda connection: connection.execute(asked).all())
        return [RateRow(*row[:4], *(int(value) for value in row[4:])) for row in found]

    def sweep(self, before_minute: int) -> int:
        """Drops what is older; gives how many went."""
        gone = delete(rates).where(rates.c.minute < before_minute)
        return self._database.write(lambda connection: int(connection.execute(gone).rowcount))
