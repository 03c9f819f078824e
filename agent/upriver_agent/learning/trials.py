"""How heads fared, in the journal: what was tried, with which numbers, and what came of it."""

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any, Final

from upriver_agent.learning.gate import Trial

MOST: Final = 200
"""Trials that are kept of one model, the newest."""
_COLUMNS: Final = "model, version, at, head, lessons, until, promoted, record"


@dataclass(frozen=True, slots=True)
class Tried:
    """One head that was tried. `at` is a Unix time, `lessons` how many taught it, `until` the number of the last one.

    `promoted` says that it came to answer; `trial` has the numbers, and why not.
    """

    model: str
    version: str
    at: float
    head: str
    lessons: int
    until: int
    promoted: bool
    trial: Trial


def add(connection: sqlite3.Connection, tried: Tried) -> None:
    """Keeps a trial; the oldest go when there are too many."""
    record = {name: _told(value) for name, value in asdict(tried.trial).items()}
    connection.execute(
        "INSERT INTO trial (model, version, at, head, lessons, until, promoted, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tried.model,
            tried.version,
            tried.at,
            tried.head,
            tried.lessons,
            tried.until,
            tried.promoted,
            json.dumps(record, separators=(",", ":"), allow_nan=False),
        ),
    )
    connection.execute(
        "DELETE FROM trial WHERE seq IN (SELECT seq FROM trial WHERE model = ? ORDER BY seq DESC LIMIT -1 OFFSET ?)",
        (tried.model, MOST),
    )


def promoted(connection: sqlite3.Connection, model: str, head: str) -> None:
    """Notes that a head came to answer, the last time that it was tried."""
    connection.execute(
        "UPDATE trial SET promoted = 1 WHERE seq = (SELECT max(seq) FROM trial WHERE model = ? AND head = ?)",
        (model, head),
    )


def listing(connection: sqlite3.Connection, model: str, most: int = MOST) -> list[Tried]:
    """A model's trials, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM trial WHERE model = ? ORDER BY seq DESC LIMIT ?",  # noqa: S608 - a constant
        (model, most),
    )
    return [_read(row) for row in rows]


def last_promoted(connection: sqlite3.Connection, model: str) -> Tried | None:
    """The trial of the head that was promoted last; None when none was, or none is kept."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM trial WHERE model = ? AND promoted ORDER BY seq DESC LIMIT 1",  # noqa: S608 - a constant
        (model,),
    ).fetchone()
    return None if row is None else _read(row)


def of_head(connection: sqlite3.Connection, model: str, head: str) -> Tried | None:
    """The trial that a head passed; None when none is kept."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM trial WHERE model = ? AND head = ? ORDER BY seq DESC LIMIT 1",  # noqa: S608 - a constant
        (model, head),
    ).fetchone()
    return None if row is None else _read(row)


def tally(connection: sqlite3.Connection) -> dict[tuple[str, bool], int]:
    """How many of the trials that are kept came to a promotion and how many did not: {(model, promoted): trials}."""
    found = connection.execute("SELECT model, promoted <> 0, count(*) FROM trial GROUP BY model, promoted <> 0")
    return {(model, bool(promoted)): trials for model, promoted, trials in found}


def _read(row: tuple[Any, ...]) -> Tried:
    fields = {name: _heard(value) for name, value in json.loads(row[7]).items()}
    model, version, at, head, lessons, until = row[:6]
    return Tried(model, version, at, head, lessons, until, bool(row[6]), Trial(**fields))


def _told(value: object) -> object:
    return "inf" if value == float("inf") else value


def _heard(value: object) -> Any:
    return float("inf") if value == "inf" else value
