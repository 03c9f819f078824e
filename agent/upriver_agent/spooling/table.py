"""Batches that nobody took, in a journal. Every function is one transaction's part or one look.

Full, ordinary batches go before important ones, and older ones before newer.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from upriver_agent.spooling.encoding import Batch
from upriver_agent.spooling.lanes import Worth

SCHEMA: Final = (
    (
        "CREATE TABLE batch (number INTEGER PRIMARY KEY AUTOINCREMENT, worth INTEGER NOT NULL, spans INTEGER NOT NULL,"
        " size INTEGER NOT NULL, body BLOB NOT NULL)",
        "CREATE INDEX least ON batch (worth, number)",
        "CREATE TABLE tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO tally VALUES ('bytes', 0), ('spans', 0)",
    ),
)
OVERHEAD: Final = 64
"""Bytes that a batch counts besides its body."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A batch as it is kept, by its number."""

    number: int
    batch: Batch


def put(connection: sqlite3.Connection, batch: Batch, most_bytes: int) -> dict[Worth, int]:
    """Keeps a batch, and drops others where there is no room; gives the spans that were dropped, by worth."""
    lost = dict.fromkeys(Worth, 0)
    size = len(batch.body) + OVERHEAD
    while tally(connection)["bytes"] + size > most_bytes:
        least = connection.execute("SELECT number, worth FROM batch ORDER BY worth, number LIMIT 1").fetchone()
        if least is None or least[1] > batch.worth:
            lost[batch.worth] += batch.spans
            return lost
        lost[Worth(least[1])] += drop(connection, least[0])
    connection.execute("INSERT INTO batch VALUES (NULL, ?, ?, ?, ?)", (int(batch.worth), batch.spans, size, batch.body))
    _count(connection, size, batch.spans)
    return lost


def oldest(connection: sqlite3.Connection) -> Kept | None:
    """The batch that was kept first, None when none is kept."""
    return _kept(connection, "SELECT number, worth, spans, body FROM batch ORDER BY number LIMIT 1")


def newest(connection: sqlite3.Connection) -> Kept | None:
    """The batch that was kept last, None when none is kept."""
    return _kept(connection, "SELECT number, worth, spans, body FROM batch ORDER BY number DESC LIMIT 1")


def drop(connection: sqlite3.Connection, number: int) -> int:
    """Lets go of a batch; gives how many spans it had, 0 when it is not there any more."""
    row = connection.execute("DELETE FROM batch WHERE number = ? RETURNING size, spans", (number,)).fetchone()
    if row is None:
        return 0
    _count(connection, -row[0], -row[1])
    return int(row[1])


def tally(connection: sqlite3.Connection) -> dict[str, int]:
    """The `bytes` and `spans` that are kept."""
    return dict(connection.execute("SELECT name, value FROM tally").fetchall())


def _kept(connection: sqlite3.Connection, asked: str) -> Kept | None:
    row = connection.execute(asked).fetchone()
    return None if row is None else Kept(row[0], Batch(Worth(row[1]), row[2], bytes(row[3])))


def _count(connection: sqlite3.Connection, size: int, spans: int) -> None:
    connection.executemany("UPDATE tally SET value = value + ? WHERE name = ?", ((size, "bytes"), (spans, "spans")))
