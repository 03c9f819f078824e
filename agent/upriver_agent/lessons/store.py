"""Lessons in the journal. Every function is one transaction's part or one look, and takes the connection.

What is kept is bounded in bytes. First go lessons that do not count, then those of versions that do not run here any
more, then the easiest of the class that takes most (`rules.largest_class`). With a lesson that goes, those that
contradicted it go too: nothing may come to count because what it was outvoted by is gone. Only
with `forgetting` it may.
"""

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from upriver_agent.lessons.lesson import Lesson, State
from upriver_agent.lessons.outcome import Bounds, Change, Outcome
from upriver_agent.lessons.rows import BATCH, count, insert, remove, version_of
from upriver_agent.lessons.rules import MAX_CLASSES, largest_class
from upriver_agent.lessons.votes import restate, vote

INPUT_SHARE: Final = 64
"""An input may take one in so many of the bytes that there are; else one lesson would put out hundreds."""


def take(connection: sqlite3.Connection, lesson: Lesson, bounds: Bounds) -> tuple[Outcome, Change]:
    """Keeps a lesson if it is new, and has what contradicts it stand as it should; see `rules.settled`."""
    if connection.execute(
        "SELECT 1 FROM lesson WHERE question = ? AND row = ?", (lesson.question, lesson.row)
    ).fetchone():
        return Outcome.REPEATED, Change()
    version, width = version_of(connection, lesson)
    if width != len(lesson.embedding):
        return Outcome.OTHER_WIDTH, Change()
    if _too_many(connection, version, lesson.label):
        return Outcome.TOO_MANY_CLASSES, Change()
    if len(lesson.input) > bounds.max_bytes // INPUT_SHARE:
        count(connection, "without_input", 1)
        lesson = replace(lesson, input=b"", sealed="")
    change = Change()
    key = (version, lesson.content)
    alike = connection.execute("SELECT label, state FROM lesson WHERE version = ? AND content = ?", key).fetchall()
    vote(connection, version, lesson, bool(alike))
    known = any(label == lesson.label and state != State.ASIDE for label, state in alike)
    seq = 0
    if not alike:  # by far the most
        seq = insert(connection, lesson, version, State.TAKEN)
        change.added.append(replace(lesson, seq=seq, state=State.TAKEN, has_input=bool(lesson.input), input=b""))
    else:
        if not known:
            seq = insert(connection, lesson, version, State.HELD)
        restate(connection, version, lesson.content, bounds.quorum, change)
    make_room(connection, bounds, change)
    if known:
        return Outcome.REPEATED, change.pure()
    if not alike and not change.removed:
        count(connection, "taken", 1)
        return Outcome.TAKEN, change
    state = connection.execute("SELECT state FROM lesson WHERE seq = ?", (seq,)).fetchone()
    if state is None:
        return Outcome.NO_ROOM, change.pure()
    count(connection, "taken", 1)
    return (Outcome.TAKEN if state[0] == State.TAKEN else Outcome.HELD), change.pure()


def make_room(connection: sqlite3.Connection, bounds: Bounds, change: Change) -> None:
    """Puts lessons out until the others fit."""
    while _bytes(connection) > bounds.max_bytes:
        seq = _least(connection, bounds.live)
        if seq is None:
            return
        count(connection, "put_out", _put_out(connection, [seq], change))


def expire(connection: sqlite3.Connection, before: float) -> tuple[int, Change]:
    """Puts out at most BATCH lessons that are older than a Unix time; gives how many, 0 once none is left."""
    change = Change()
    old = connection.execute("SELECT seq FROM lesson WHERE at < ? ORDER BY at LIMIT ?", (before, BATCH)).fetchall()
    count(connection, "expired", _put_out(connection, [seq for (seq,) in old], change))
    if not old:  # their names come from the network, where any may be made up
        connection.execute("DELETE FROM teacher WHERE number NOT IN (SELECT teacher FROM lesson)")
    return len(old), change


def shift(connection: sqlite3.Connection, since: float, until: float, by_s: float) -> None:
    """Corrects what was noted by a clock that was wrong, after it was set."""
    connection.execute("UPDATE lesson SET at = at + ? WHERE at BETWEEN ? AND ?", (by_s, since, until))


def _bytes(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT value FROM tally WHERE name = 'bytes'").fetchone()
    return 0 if found is None else int(found[0])


def _too_many(connection: sqlite3.Connection, version: int, label: str) -> bool:
    """Whether a label would be one class too many."""
    if connection.execute("SELECT 1 FROM class WHERE version = ? AND label = ?", (version, label)).fetchone():
        return False
    (classes,) = connection.execute("SELECT count(*) FROM class WHERE version = ?", (version,)).fetchone()
    return bool(classes >= MAX_CLASSES)


def _put_out(connection: sqlite3.Connection, seqs: Iterable[int], change: Change) -> int:
    """Removes lessons, with all that is kept of the same contents; gives how many."""
    gone = 0
    for seq in seqs:
        row = connection.execute("SELECT version, content, state FROM lesson WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            continue
        version, content, state = row
        alike = [(seq,)]
        if state != State.ASIDE:
            alike = connection.execute(
                "SELECT seq FROM lesson WHERE version = ? AND content = ? AND state <> ?",
                (version, content, State.ASIDE),
            ).fetchall()
            connection.execute("DELETE FROM vote WHERE version = ? AND content = ?", (version, content))
        for (one,) in alike:
            remove(connection, one, change)
        gone += len(alike)
    return gone


def _least(connection: sqlite3.Connection, live: Collection[tuple[str, str]]) -> int | None:
    """The lesson that goes first."""
    idle = connection.execute("SELECT seq FROM lesson WHERE state <> 1 ORDER BY seq LIMIT 1").fetchone()
    if idle is not None:
        return int(idle[0])
    names = {number: (model, digest) for number, model, digest, _ in connection.execute("SELECT * FROM version")}
    sizes = {(version, label): size for version, label, size in connection.execute(_SIZES)}
    retired = {key: size for key, size in sizes.items() if names[key[0]] not in live}
    key = largest_class(retired or sizes)
    if key is None:
        return None
    found = connection.execute(
        "SELECT seq FROM lesson WHERE state = 1 AND version = ? AND label = ? ORDER BY known DESC, seq LIMIT 1", key
    ).fetchone()
    return None if found is None else int(found[0])


_SIZES: Final = "SELECT version, label, bytes FROM class"
