"""What is forgotten, and whose lessons are set aside and come back. Every function is one transaction's part.

What is forgotten must be as if it had never been: so what it outvoted counts again.
"""

import sqlite3
from collections import Counter
from dataclasses import replace

from upriver_agent.lessons.choosing import where
from upriver_agent.lessons.lesson import Choice, State
from upriver_agent.lessons.outcome import Change
from upriver_agent.lessons.rows import BATCH, count, one_of, remove, stand
from upriver_agent.lessons.table import FROM
from upriver_agent.lessons.votes import restate


def forget(connection: sqlite3.Connection, choice: Choice, quorum: int) -> tuple[list[tuple[int, str]], Change]:
    """Forgets at most BATCH lessons of a choice; gives their numbers and ids, none once none is left."""
    condition, values = where(choice)
    found = connection.execute(
        "SELECT lesson.seq, question || '.' || row, version, content, label, agent"  # noqa: S608 - marks only
        f" FROM {FROM} WHERE {condition} LIMIT {BATCH}",
        values,
    ).fetchall()
    change = Change()
    for seq, *_ in found:
        _outvoted(connection, seq, change)
    whoever = choice.label != "" and replace(choice, label="", model="", version_digest="").of_all
    for seq, _, version, content, label, teacher in found:
        remove(connection, seq, change)
        connection.execute(
            "DELETE FROM vote WHERE version = ? AND content = ? AND label = ? AND (? OR teacher = ?)",
            (version, content, label, whoever, teacher),
        )
        connection.execute(  # the last word of each whose word is gone is the one before
            f"INSERT OR IGNORE INTO vote SELECT version, content, agent, label FROM {FROM} WHERE version = ?"  # noqa: S608 - constants
            f" AND content = ? AND state <> {State.ASIDE:d} ORDER BY lesson.seq DESC",
            (version, content),
        )
        restate(connection, version, content, quorum, change)
    count(connection, "forgotten", len(found))
    return [(seq, id_) for seq, id_, *_ in found], _must_go(connection, change.pure())


def set_aside(connection: sqlite3.Connection, teacher: str, quorum: int) -> tuple[int, Change]:
    """Has what a teacher said of at most BATCH contents count no more, neither for nor against what others say; gives
    of how many, 0 once none is left."""
    change = Change()
    found = connection.execute(
        "SELECT version, content FROM vote WHERE teacher = ?1 UNION ALL SELECT version, content"  # noqa: S608 - constants
        f" FROM {FROM} WHERE agent = ?1 AND state <> {State.ASIDE:d} LIMIT {BATCH}",
        (teacher,),
    ).fetchall()
    for version, content in found:
        key = (version, content, teacher)
        connection.execute("DELETE FROM vote WHERE version = ? AND content = ? AND teacher = ?", key)
        for seq, label, was, size in connection.execute(
            f"SELECT lesson.seq, label, state, bytes FROM {FROM} WHERE version = ? AND content = ? AND agent = ?",  # noqa: S608 - constants
            key,
        ).fetchall():
            _outvoted(connection, seq, change)
            stand(connection, seq, (version, label), State(was), State.ASIDE, size, change)
        restate(connection, version, content, quorum, change)
    return len(found), _must_go(connection, change.pure())


def bring_back(connection: sqlite3.Connection, teacher: str, quorum: int) -> tuple[int, Change]:
    """Has at most BATCH lessons that were set aside stand as they should; gives how many, 0 once none is left."""
    change = Change()
    found = connection.execute(
        f"SELECT lesson.seq, version, content, label, bytes FROM {FROM} WHERE agent = ?"  # noqa: S608 - constants
        f" AND state = {State.ASIDE:d} ORDER BY lesson.seq LIMIT {BATCH}",
        (teacher,),
    ).fetchall()
    for seq, version, content, label, size in found:
        connection.execute("INSERT OR REPLACE INTO vote VALUES (?, ?, ?, ?)", (version, content, teacher, label))
        stand(connection, seq, (version, label), State.ASIDE, State.HELD, size, change)
    for _, version, content, _, _ in found:
        restate(connection, version, content, quorum, change)
    return len(found), change.pure()


def left(connection: sqlite3.Connection, model: str, version_digest: str) -> None:
    """What had to leave what was learnt of a version has left it."""
    connection.execute(
        "DELETE FROM tally WHERE name IN (SELECT 'leaving/' || number FROM version WHERE model = ? AND digest = ?)",
        (model, version_digest),
    )


def _outvoted(connection: sqlite3.Connection, seq: int, change: Change) -> None:
    """Notes a lesson that must go though it does not count now: others contradict it, and what was learnt before may
    have it still."""
    had = f"SELECT 1 FROM lesson WHERE seq = ? AND state = {State.HELD:d} AND counted"  # noqa: S608 - a constant
    if connection.execute(had, (seq,)).fetchone():
        change.must_go.append(one_of(connection, seq))


def _must_go(connection: sqlite3.Connection, change: Change) -> Change:
    """Counts what all that was learnt must lose, by version and for good, and notes the lowest number until it has;
    see `looking.must_go` and `looking.leaving`."""
    change.must_go += change.removed
    for key, lessons in Counter((one.model, one.version_digest) for one in change.must_go).items():
        (version,) = connection.execute("SELECT number FROM version WHERE model = ? AND digest = ?", key).fetchone()
        count(connection, f"must_go/{version}", lessons)
        lowest = min(one.seq for one in change.must_go if (one.model, one.version_digest) == key)
        connection.execute(
            "INSERT INTO tally VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = min(value, ?2)",
            (f"leaving/{version}", lowest),
        )
    return change
