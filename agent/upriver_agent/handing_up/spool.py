"""What waits to be handed up. Every function is one transaction's part or one look, and takes the connection.

A lesson is here once, by its id, until who is above says that it has it. One that was never tried can be forgotten here
and nobody else knows of it; of one that was, who is above is told. Whatever is interrupted is done again: ids make that
safe.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from upriver.errors import QueueFull

MAX_LESSON: Final = 2 << 20
"""Bytes of one lesson as a message; nobody takes a larger one."""
OVERHEAD: Final = 256
"""Bytes that an entry counts besides its body."""
MAX_FORGOTTEN: Final = 10_000
"""So many forgotten ids wait at most where more are named that are not in the journal."""
_FORGOTTEN: Final = "SELECT count(*) FROM handing WHERE forgotten = 1"
_COUNTS: Final = ("bytes", "taken", "handed", "refused", "withdrawn", "missed")


@dataclass(frozen=True, slots=True)
class Entry:
    """A lesson as a message, or the id of one that was forgotten."""

    id: str
    body: bytes = b""
    forgotten: bool = False
    number: int = 0


def put(connection: sqlite3.Connection, lessons: Sequence[Entry], most_bytes: int) -> list[str]:
    """Keeps lessons in order while they fit; gives the ids of those that are here now, or were forgotten here."""
    kept, room = [], most_bytes - tally(connection)["bytes"]
    for lesson in lessons:
        size = len(lesson.body) + OVERHEAD
        there = connection.execute("SELECT 1 FROM handing WHERE id = ?", (lesson.id,)).fetchone()
        if there is None:
            if size > room:
                break
            room -= size
            _insert(connection, lesson.id, False, lesson.body)
            _count(connection, "taken", 1)
        kept.append(lesson.id)
    return kept


def forget_own(connection: sqlite3.Connection, lessons: Sequence[tuple[int, str]]) -> None:
    """Forgets lessons that were learnt here, by number and id; those above are told of one that they may have.

    The number is 0 where it is not known any more: then they may. Raises QueueFull when too many such ids wait, unless
    nothing was ever handed up here.
    """
    gone = sum(not seq for seq, _ in lessons)
    if gone and gone + connection.execute(_FORGOTTEN).fetchone()[0] > MAX_FORGOTTEN:
        if tally(connection)["taken"]:
            raise QueueFull(f"{MAX_FORGOTTEN} forgotten lessons wait to be told upwards; try again when some have been")
        lessons = [(seq, id_) for seq, id_ in lessons if seq]  # nobody has the others: they would wait for ever
    for seq, id_ in lessons:
        seen = connection.execute("DELETE FROM handing_seen WHERE seq = ? RETURNING seq", (seq,)).fetchone()
        if seen is not None or not seq:
            _withdraw(connection, id_, told=not seq)


def forget(connection: sqlite3.Connection, ids: Iterable[str], most_bytes: int) -> list[str]:
    """Forgets lessons from below; gives the ids that are noted, all but those that there is no room for.

    Those above are always told, since they may have them by another way.
    """
    kept, room = [], most_bytes - tally(connection)["bytes"]
    for id_ in ids:
        if connection.execute("SELECT 1 FROM handing WHERE id = ?", (id_,)).fetchone() is None:
            if room < OVERHEAD:
                continue
            room -= OVERHEAD
        _withdraw(connection, id_, told=True)
        kept.append(id_)
    return kept


def waiting(connection: sqlite3.Connection, most: int, most_bytes: int) -> list[Entry]:
    """What to hand up next: what was forgotten first, then lessons in the order in which they came."""
    rows = connection.execute(
        "SELECT id, body, forgotten, number, size FROM handing ORDER BY forgotten DESC, number LIMIT ?", (most,)
    )
    found: list[Entry] = []
    left = most_bytes
    for id_, body, forgotten, number, size in rows:
        if found and size > left:
            break
        left -= size
        found.append(Entry(id_, bytes(body), bool(forgotten), number))
    return found


def trying(connection: sqlite3.Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Notes that entries are about to be handed up; gives those that are still here. From now on others may know."""
    marks = [(entry.number,) for entry in entries]
    connection.executemany("UPDATE handing SET tried = 1 WHERE number = ?", marks)
    here = "SELECT 1 FROM handing WHERE number = ?"
    return [entry for entry, mark in zip(entries, marks, strict=True) if connection.execute(here, mark).fetchone()]


def settle(connection: sqlite3.Connection, kept: Sequence[Entry], refused: Sequence[Entry]) -> None:
    """Lets go of what was handed up, and of what nobody will take. What was forgotten meanwhile is another entry."""
    for name, entries in (("handed", kept), ("refused", refused)):
        gone = [_remove(connection, entry.number) for entry in entries if not entry.forgotten]
        _count(connection, name, sum(gone))
        for entry in entries:
            if entry.forgotten:
                _remove(connection, entry.number)


def saw(connection: sqlite3.Connection, seqs: Iterable[int]) -> None:
    """Notes own lessons as put here."""
    marks = [(seq,) for seq in seqs]
    connection.executemany("INSERT OR IGNORE INTO handing_seen VALUES (?)", marks)
    connection.executemany("DELETE FROM handing_todo WHERE seq = ?", marks)


def tally(connection: sqlite3.Connection) -> dict[str, int]:
    """Bytes that wait, and what has become of lessons since the file began."""
    found = dict.fromkeys(_COUNTS, 0)
    found.update(connection.execute("SELECT name, value FROM handing_tally").fetchall())
    return found


def count(connection: sqlite3.Connection) -> int:
    """How many lessons wait."""
    return int(connection.execute("SELECT count(*) FROM handing WHERE forgotten = 0").fetchone()[0])


def _withdraw(connection: sqlite3.Connection, id_: str, told: bool) -> None:
    row = connection.execute("SELECT number, forgotten, tried FROM handing WHERE id = ?", (id_,)).fetchone()
    if row is not None and row[1]:
        return
    if row is not None:
        _remove(connection, row[0])
        _count(connection, "withdrawn", 1)
    if told or row is None or row[2]:
        _insert(connection, id_, True, b"")


def _insert(connection: sqlite3.Connection, id_: str, forgotten: bool, body: bytes) -> None:
    size = len(body) + OVERHEAD
    connection.execute("INSERT INTO handing VALUES (NULL, ?, ?, 0, ?, ?)", (id_, forgotten, size, body))
    _count(connection, "bytes", size)


def _remove(connection: sqlite3.Connection, number: int) -> bool:
    query = "DELETE FROM handing WHERE number = ? RETURNING size"
    row = connection.execute(query, (number,)).fetchone()
    if row is not None:
        _count(connection, "bytes", -row[0])
    return row is not None


def _count(connection: sqlite3.Connection, name: str, by: int) -> None:
    connection.execute(
        "INSERT INTO handing_tally VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, by),
    )
