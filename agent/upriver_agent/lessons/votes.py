"""What teachers said of a content, and which lesson counts by that. Every function is one transaction's part."""

import sqlite3

from upriver_agent.lessons.lesson import Lesson, State
from upriver_agent.lessons.outcome import Change
from upriver_agent.lessons.rows import stand
from upriver_agent.lessons.rules import MAX_VOTES, settled


def vote(connection: sqlite3.Connection, version: int, lesson: Lesson, among_others: bool) -> None:
    """Notes what a teacher said of a content, once for each teacher: the last word counts."""
    key = (version, lesson.content)
    others = 0
    if among_others:
        (others,) = connection.execute(
            "SELECT count(*) FROM vote WHERE version = ? AND content = ? AND teacher <> ?", (*key, lesson.teacher)
        ).fetchone()
    if others < MAX_VOTES:
        connection.execute("INSERT OR REPLACE INTO vote VALUES (?, ?, ?, ?)", (*key, lesson.teacher, lesson.label))


def restate(connection: sqlite3.Connection, version: int, content: bytes, quorum: int, change: Change) -> None:
    """Has the lessons of one content stand as the votes have it: one of the label that won counts, the first."""
    key = (version, content)
    votes = dict(connection.execute("SELECT teacher, label FROM vote WHERE version = ? AND content = ?", key))
    winner = settled(votes, quorum)
    found = connection.execute(
        "SELECT seq, label, state, bytes FROM lesson WHERE version = ? AND content = ? AND state <> ? ORDER BY seq",
        (*key, State.ASIDE),
    ).fetchall()
    for seq, label, was, size in found:
        state = State.TAKEN if label == winner else State.HELD
        if state is State.TAKEN:
            winner = None
        stand(connection, seq, (version, label), State(was), state, size, change)
