"""What audits keep in their journal: cases that wait for the top, verdicts that wait to be delivered, monitors.

When there is no room, the cases with the highest draws go, and none with a higher one comes in until the journal has
been empty: what is left is exactly what a lower rate would have had audited. Dropping the oldest, the largest or what
will not go through would leave a sample that depends on time or content, and certificates made from it would be wrong.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_ROWS: Final = 64
MOST_BYTES: Final = 4 << 20
"""Of one call to the top."""
MOST_VERDICTS: Final = 50_000
MOST_MONITORS: Final = 64

SCHEMA: Final = (
    (
        "CREATE TABLE cases (question TEXT NOT NULL, row INTEGER NOT NULL, model TEXT NOT NULL, region_only INTEGER NOT"
        " NULL, draw REAL NOT NULL, asked REAL NOT NULL, size INTEGER NOT NULL, facts TEXT NOT NULL,"
        " request BLOB NOT NULL, answer BLOB NOT NULL, PRIMARY KEY (question, row))",
        "CREATE INDEX cases_by_draw ON cases (draw, size)",
        "CREATE INDEX cases_by_time ON cases (asked)",
        "CREATE TABLE ceiling (draw REAL NOT NULL)",
        "INSERT INTO ceiling VALUES (1.0)",
        "CREATE TABLE verdicts (number INTEGER PRIMARY KEY, draw REAL NOT NULL, body BLOB NOT NULL)",
        "CREATE INDEX verdicts_by_draw ON verdicts (draw)",
        "CREATE TABLE monitors (model TEXT NOT NULL, policy TEXT NOT NULL, changed REAL NOT NULL, state TEXT NOT NULL,"
        " drift TEXT, PRIMARY KEY (model, policy))",
    ),
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A case that waits: `facts` is the case, `request` and `answer` are messages of one row each."""

    question: str
    row: int
    model: str
    region_only: bool
    draw: float
    asked: float
    facts: str
    request: bytes
    answer: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.facts) + len(self.request) + len(self.answer)


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict that waits to be delivered: a message of the control plane's."""

    draw: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A monitor's state, as JSON; `drift` None is what was kept before."""

    model: str
    policy: str
    state: str
    drift: str | None = None


def add(connection: sqlite3.Connection, cases: Sequence[Waiting], most_bytes: int) -> int:
    """Keeps cases within `most_bytes`; gives how many were dropped, of those or of others."""
    (kept,) = connection.execute("SELECT coalesce(sum(size), 0) FROM cases").fetchone()
    before = ceiling(connection)
    top = before if kept else 1.0
    taken = [one for one in cases if one.draw < top]
    connection.executemany("INSERT OR IGNORE INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_columns, taken))
    (kept,) = connection.execute("SELECT coalesce(sum(size), 0) FROM cases").fetchone()
    dropped = len(cases) - len(taken)
    while kept > most_bytes:
        row, size, top = connection.execute("SELECT rowid, size, draw FROM cases ORDER BY draw DESC LIMIT 1").fetchone()
        connection.execute("DELETE FROM cases WHERE rowid = ?", (row,))
        kept -= size
        dropped += 1
    if top != before:
        connection.execute("UPDATE ceiling SET draw = ?", (top,))
    return dropped


def ceiling(connection: sqlite3.Connection) -> float:
    """The draw from which on cases have been dropped since the journal was last empty; 1.0 when none have."""
    (found,) = connection.execute("SELECT draw FROM ceiling").fetchone()
    return float(found)


def _columns(one: Waiting) -> tuple[object, ...]:
    return (
        one.question,
        one.row,
        one.model,
        one.region_only,
        one.draw,
        one.asked,
        one.size,
        one.facts,
        one.request,
        one.answer,
    )


def expire(connection: sqlite3.Connection, before: float) -> int:
    """Drops cases asked before a Unix time; gives how many."""
    return connection.execute("DELETE FROM cases WHERE asked < ?", (before,)).rowcount


def waiting(connection: sqlite3.Connection) -> dict[str, int]:
    """How many cases wait, by model."""
    return dict(connection.execute("SELECT model, count(*) FROM cases GROUP BY model").fetchall())


def next_call(connection: sqlite3.Connection, without: Sequence[tuple[str, bool]]) -> list[Waiting]:
    """The rows that have waited longest, of one model, as many as go in one call; none is [].

    `without` are models, and whether in the region only, that can't be asked now.
    """
    excluded = "".join(" AND NOT (model = ? AND region_only = ?)" for _ in without)
    values = [value for pair in without for value in pair]
    first = connection.execute(
        f"SELECT model, region_only FROM cases WHERE TRUE{excluded} ORDER BY asked LIMIT 1",  # noqa: S608 - only marks
        values,
    ).fetchone()
    if first is None:
        return []
    rows = connection.execute(
        "SELECT question, row, model, region_only, draw, asked, facts, request, answer FROM cases"
        " WHERE model = ? AND region_only = ? ORDER BY asked, question, row LIMIT ?",
        (*first, MOST_ROWS),
    ).fetchall()
    found = [
        Waiting(
            question=row[0],
            row=row[1],
            model=row[2],
            region_only=bool(row[3]),
            draw=row[4],
            asked=row[5],
            facts=row[6],
            request=row[7],
            answer=row[8],
        )
        for row in rows
    ]
    taken, total = 0, 0
    for one in found:
        total += len(one.request)
        if taken and total > MOST_BYTES:
            break
        taken += 1
    return found[:taken]


def settle(
    connection: sqlite3.Connection,
    done: Sequence[tuple[str, int]],
    verdicts: Sequence[Told],
    kept: Kept | None,
    now: float,
) -> int:
    """Ends cases, keeps their verdicts and what the monitor has made of them; gives how many verdicts were dropped."""
    connection.executemany("DELETE FROM cases WHERE question = ? AND row = ?", done)
    connection.executemany(
        "INSERT INTO verdicts (draw, body) VALUES (?, ?)", [(one.draw, one.body) for one in verdicts]
    )
    if kept is not None:
        save(connection, kept, now)
    (count,) = connection.execute("SELECT count(*) FROM verdicts").fetchone()
    over = max(0, int(count) - MOST_VERDICTS)
    if over:
        connection.execute(
            "DELETE FROM verdicts WHERE number IN (SELECT number FROM verdicts ORDER BY draw DESC LIMIT ?)", (over,)
        )
    return over


def to_deliver(connection: sqlite3.Connection, most: int) -> list[tuple[int, bytes]]:
    """The verdicts that have waited longest, with their numbers."""
    return connection.execute("SELECT number, body FROM verdicts ORDER BY number LIMIT ?", (most,)).fetchall()


def delivered(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Forgets verdicts."""
    connection.executemany("DELETE FROM verdicts WHERE number = ?", [(number,) for number in numbers])


def save(connection: sqlite3.Connection, kept: Kept, now: float) -> None:
    """Keeps a monitor's state; of many pairs the ones that changed last."""
    connection.execute(
        "INSERT INTO monitors VALUES (?, ?, ?, ?, ?) ON CONFLICT (model, policy) DO UPDATE SET"
        " changed = excluded.changed, state = excluded.state, drift = coalesce(excluded.drift, drift)",
        (kept.model, kept.policy, now, kept.state, kept.drift),
    )
    connection.execute(
        "DELETE FROM monitors WHERE rowid IN (SELECT rowid FROM monitors ORDER BY changed DESC LIMIT -1 OFFSET ?)",
        (MOST_MONITORS,),
    )


def load(connection: sqlite3.Connection, model: str, policy: str) -> Kept | None:
    """A monitor's state, if it was kept."""
    row = connection.execute(
        "SELECT state, drift FROM monitors WHERE model = ? AND policy = ?", (model, policy)
    ).fetchone()
    return None if row is None else Kept(model, policy, row[0], row[1])
