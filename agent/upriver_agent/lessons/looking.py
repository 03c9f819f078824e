"""Looks at lessons in the journal. Every function takes the connection and changes nothing."""

import json
import sqlite3

from upriver_agent.lessons.choosing import where
from upriver_agent.lessons.lesson import Choice, Lesson
from upriver_agent.lessons.table import COLUMNS, FROM, NO_INPUT, lesson_of
from upriver_agent.telemetry import NOWHERE, Origin


def listing(
    connection: sqlite3.Connection, choice: Choice, after: int, limit: int, with_input: bool = False
) -> list[Lesson]:
    """Lessons of a choice in the order in which they were kept, from behind `after`. Raises LessonDamaged."""
    condition, values = where(choice)
    rows = connection.execute(
        f"SELECT {COLUMNS}, {'input' if with_input else NO_INPUT} FROM {FROM}"  # noqa: S608 - marks only
        f" WHERE lesson.seq > ? AND {condition} ORDER BY lesson.seq LIMIT ?",
        (after, *values, limit),
    )
    return [lesson_of(row) for row in rows]


def newest_origins(connection: sqlite3.Connection, model: str, version_digest: str, most: int) -> list[Origin]:
    """Where the newest questions were whose lessons of a version count, newest first; without those of no trace, and
    those whose facts are damaged: there is nothing to link to."""
    rows = connection.execute(
        f"SELECT facts FROM {FROM} WHERE model = ? AND digest = ? AND state = 1"  # noqa: S608 - a constant
        " ORDER BY lesson.seq DESC LIMIT ?",
        (model, version_digest, most),
    )
    return [origin for (text,) in rows if (origin := _origin(text)).span_id]


def count(connection: sqlite3.Connection, choice: Choice) -> tuple[int, int]:
    """How many lessons a choice has, and how many bytes they take."""
    condition, values = where(choice)
    found = connection.execute(
        f"SELECT count(*), coalesce(sum(bytes), 0) FROM {FROM} WHERE {condition}",  # noqa: S608 - marks only
        values,
    ).fetchone()
    return int(found[0]), int(found[1])


def classes(connection: sqlite3.Connection) -> list[tuple[str, str, str, int, int, int]]:
    """Lessons by model, version, label and state: (model, digest, label, state, lessons, bytes)."""
    return connection.execute(
        f"SELECT model, digest, label, state, count(*), sum(bytes) FROM {FROM}"  # noqa: S608 - a constant
        " GROUP BY version, label, state ORDER BY model, version, label, state"
    ).fetchall()


def teachers(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """Each teacher with how many lessons of it count and how many do not."""
    return connection.execute(
        f"SELECT agent, sum(state = 1), sum(state <> 1) FROM {FROM} GROUP BY agent ORDER BY agent"  # noqa: S608 - a constant
    ).fetchall()


def tally(connection: sqlite3.Connection) -> dict[str, int]:
    """Bytes that are kept, and what has become of lessons since the journal began."""
    found = dict.fromkeys(("bytes", "taken", "put_out", "expired", "forgotten", "without_input"), 0)
    found.update(connection.execute("SELECT name, value FROM tally WHERE name NOT LIKE '%/%'").fetchall())
    return found


def by_model(connection: sqlite3.Connection) -> dict[str, int]:
    """How many lessons count of which model, of whichever version."""
    found = connection.execute("SELECT model, sum(lessons) FROM class JOIN version ON number = version GROUP BY model")
    return {model: lessons for model, lessons in found if lessons > 0}


def by_label(connection: sqlite3.Connection, most: int) -> dict[tuple[str, str], int]:
    """How many lessons count of which model and label, of whichever version; of the `most` commonest."""
    found = connection.execute(
        "SELECT model, label, sum(class.lessons) AS counted FROM class JOIN version ON number = version"
        " GROUP BY model, label HAVING counted > 0 ORDER BY counted DESC, model, label LIMIT ?",
        (most,),
    )
    return {(model, label): lessons for model, label, lessons in found}


def must_go(connection: sqlite3.Connection) -> dict[tuple[str, str, int], int]:
    """How many lessons had counted and were forgotten, or not believed any more, since the journal began:
    {(model, digest, width): lessons}, versions in the order in which they came."""
    found = connection.execute(
        "SELECT model, digest, width, value FROM tally JOIN version ON name = 'must_go/' || number ORDER BY number"
    )
    return {(model, digest, width): lessons for model, digest, width, lessons in found}


def leaving(connection: sqlite3.Connection, model: str, version_digest: str) -> int | None:
    """The lowest number of those lessons of a version that what was learnt may not have lost yet; None without any."""
    found = connection.execute(
        "SELECT value FROM tally JOIN version ON name = 'leaving/' || number WHERE model = ? AND digest = ?",
        (model, version_digest),
    ).fetchone()
    return None if found is None else int(found[0])


def _origin(text: str) -> Origin:
    try:
        facts = json.loads(text)
        trace, span = facts["trace"], facts.get("span", "")
    except (AttributeError, KeyError, TypeError, ValueError):
        return NOWHERE
    return Origin(trace, span) if isinstance(trace, str) and isinstance(span, str) else NOWHERE
