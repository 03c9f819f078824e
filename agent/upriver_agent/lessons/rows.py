"""A lesson's row, and what is counted of rows. Every function is one transaction's part."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from upriver_agent.lessons.lesson import Lesson, State
from upriver_agent.lessons.outcome import Change
from upriver_agent.lessons.table import COLUMNS, FROM, NO_INPUT, facts_of, lesson_of

OVERHEAD: Final = 512
"""Bytes that a lesson counts besides its contents: its row, the indexes, its vote."""
BATCH: Final = 200
"""Lessons that one transaction takes out at most."""


def version_of(connection: sqlite3.Connection, lesson: Lesson) -> tuple[int, int]:
    """The number of a lesson's version, and how long embeddings of it are."""
    key = (lesson.model, lesson.version_digest)
    query = "SELECT number, width FROM version WHERE model = ? AND digest = ?"
    found = connection.execute(query, key).fetchone()
    if found is None:
        made = connection.execute("INSERT INTO version VALUES (NULL, ?, ?, ?)", (*key, len(lesson.embedding)))
        return int(made.lastrowid or 0), len(lesson.embedding)
    return int(found[0]), int(found[1])


def insert(connection: sqlite3.Connection, lesson: Lesson, version: int, state: State) -> int:
    """Adds a lesson's row; gives its number."""
    teacher = _teacher(connection, lesson)
    facts, embedding = facts_of(lesson), lesson.embedding.astype("<f2").tobytes()
    size = len(facts) + len(embedding) + len(lesson.input) + OVERHEAD
    seq = connection.execute(
        "INSERT INTO lesson VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (lesson.question, lesson.row, version, teacher, state, lesson.label, lesson.known, lesson.content,
         lesson.source, lesson.at, size, lesson.consent, facts, embedding, lesson.sealed, lesson.input,
         state is State.TAKEN),
    ).lastrowid  # fmt: skip
    count(connection, "bytes", size)
    if state is State.TAKEN:
        _count_class(connection, (version, lesson.label), 1, size)
    return int(seq or 0)


def stand(
    connection: sqlite3.Connection,
    seq: int,
    key: tuple[int, str],
    was: State,
    state: State,
    size: int,
    change: Change,
) -> None:
    """Gives a lesson another state, and its class what follows from that."""
    if was is state:
        return
    if was is State.TAKEN:
        change.removed.append(one_of(connection, seq))
        _count_class(connection, key, -1, -size)
    connection.execute(
        f"UPDATE lesson SET state = ?1, counted = ?1 = {State.TAKEN:d} OR (counted AND ?1 <> {State.ASIDE:d})"  # noqa: S608 - constants
        " WHERE seq = ?2",
        (state, seq),
    )
    if state is State.TAKEN:
        change.added.append(one_of(connection, seq))
        _count_class(connection, key, 1, size)


def remove(connection: sqlite3.Connection, seq: int, change: Change) -> None:
    """Takes a lesson's row out, and what was said of its content once there is none of it."""
    version, content, label, state, size = connection.execute(
        "SELECT version, content, label, state, bytes FROM lesson WHERE seq = ?", (seq,)
    ).fetchone()
    stand(connection, seq, (version, label), State(state), State.HELD, size, change)
    connection.execute("DELETE FROM lesson WHERE seq = ?", (seq,))
    connection.execute(  # who said what of it is kept as long as there is one of it
        "DELETE FROM vote WHERE version = ?1 AND content = ?2 AND NOT EXISTS"
        " (SELECT 1 FROM lesson WHERE version = ?1 AND content = ?2)",
        (version, content),
    )
    count(connection, "bytes", -size)


def one_of(connection: sqlite3.Connection, seq: int) -> Lesson:
    """The lesson of a number, without its input."""
    row: tuple[Any, ...] = connection.execute(
        f"SELECT {COLUMNS}, {NO_INPUT} FROM {FROM} WHERE lesson.seq = ?",  # noqa: S608 - constants
        (seq,),
    ).fetchone()
    return lesson_of(row)


def count(connection: sqlite3.Connection, name: str, by: int) -> None:
    """Adds to what is counted since the journal began."""
    if by:
        connection.execute(
            "INSERT INTO tally VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2", (name, by)
        )


def _teacher(connection: sqlite3.Connection, lesson: Lesson) -> int:
    """The number of a lesson's teacher."""
    key = (lesson.teacher, lesson.teacher_tier, lesson.policy)
    found = connection.execute("SELECT number FROM teacher WHERE agent = ? AND tier = ? AND policy = ?", key).fetchone()
    if found is None:
        return int(connection.execute("INSERT INTO teacher VALUES (NULL, ?, ?, ?)", key).lastrowid or 0)
    return int(found[0])


def _count_class(connection: sqlite3.Connection, key: Sequence[Any], lessons: int, size: int) -> None:
    connection.execute(
        "INSERT INTO class VALUES (?1, ?2, ?3, ?4) ON CONFLICT (version, label) DO UPDATE SET lessons = lessons + ?3,"
        " bytes = bytes + ?4",
        (*key, lessons, size),
    )
    if lessons < 0:
        connection.execute("DELETE FROM class WHERE version = ? AND label = ? AND lessons = 0", tuple(key))
