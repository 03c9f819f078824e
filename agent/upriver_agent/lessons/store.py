"""Lessons in the journal. Every function is one transaction's part or one look, and takes the connection.

What is kept is bounded in bytes. First go lessons that do not count, then those of versions that do not run here any
more, then the easiest of the class that takes most (`rules.largest_class`). With a lesson that goes, those that
contradicted it go too: nothing may come to count because what it was outvoted by is gone. Only `forget` is different,
since what is forgotten must be as if it had never been.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from upriver_agent.lessons.choosing import where
from upriver_agent.lessons.lesson import Choice, Lesson, State
from upriver_agent.lessons.outcome import Bounds, Change, Outcome
from upriver_agent.lessons.rules import MAX_CLASSES, MAX_VOTES, largest_class, settled
from upriver_agent.lessons.table import COLUMNS, FROM, NO_INPUT, facts_of, lesson_of

OVERHEAD: Final = 512
"""Bytes that a lesson counts besides its contents: its row, the indexes, its vote."""
INPUT_SHARE: Final = 64
"""An input may take one in so many of the bytes that there are; else one lesson would put out hundreds."""
BATCH: Final = 200
"""Lessons that one transaction takes out at most."""


def take(connection: sqlite3.Connection, lesson: Lesson, bounds: Bounds) -> tuple[Outcome, Change]:
    """Keeps a lesson if it is new, and has what contradicts it stand as it should; see `rules.settled`."""
    if connection.execute(
        "SELECT 1 FROM lesson WHERE question = ? AND row = ?", (lesson.question, lesson.row)
    ).fetchone():
        return Outcome.REPEATED, Change()
    version, width = _version(connection, lesson)
    if width != len(lesson.embedding):
        return Outcome.OTHER_WIDTH, Change()
    if _too_many(connection, version, lesson.label):
        return Outcome.TOO_MANY_CLASSES, Change()
    if len(lesson.input) > bounds.max_bytes // INPUT_SHARE:
        _count(connection, "without_input", 1)
        lesson = replace(lesson, input=b"", sealed="")
    change = Change()
    key = (version, lesson.content)
    alike = connection.execute("SELECT label, state FROM lesson WHERE version = ? AND content = ?", key).fetchall()
    _vote(connection, version, lesson, bool(alike))
    known = any(label == lesson.label and state != State.ASIDE for label, state in alike)
    seq = 0
    if not alike:  # by far the most
        seq = _insert(connection, lesson, version, State.TAKEN)
        change.added.append(replace(lesson, seq=seq, state=State.TAKEN, has_input=bool(lesson.input), input=b""))
    else:
        if not known:
            seq = _insert(connection, lesson, version, State.HELD)
        _restate(connection, version, lesson.content, bounds.quorum, change)
    make_room(connection, bounds, change)
    if known:
        return Outcome.REPEATED, change.pure()
    if not alike and not change.removed:
        _count(connection, "taken", 1)
        return Outcome.TAKEN, change
    state = connection.execute("SELECT state FROM lesson WHERE seq = ?", (seq,)).fetchone()
    if state is None:
        return Outcome.NO_ROOM, change.pure()
    _count(connection, "taken", 1)
    return (Outcome.TAKEN if state[0] == State.TAKEN else Outcome.HELD), change.pure()


def make_room(connection: sqlite3.Connection, bounds: Bounds, change: Change) -> None:
    """Puts lessons out until the others fit."""
    while _bytes(connection) > bounds.max_bytes:
        seq = _least(connection, bounds.live)
        if seq is None:
            return
        _count(connection, "put_out", _put_out(connection, [seq], change))


def expire(connection: sqlite3.Connection, before: float) -> tuple[int, Change]:
    """Puts out at most BATCH lessons that are older than a Unix time; gives how many, 0 once none is left."""
    change = Change()
    old = connection.execute("SELECT seq FROM lesson WHERE at < ? ORDER BY at LIMIT ?", (before, BATCH)).fetchall()
    _count(connection, "expired", _put_out(connection, [seq for (seq,) in old], change))
    if not old:  # their names come from the network, where any may be made up
        connection.execute("DELETE FROM teacher WHERE number NOT IN (SELECT teacher FROM lesson)")
    return len(old), change


def forget(connection: sqlite3.Connection, choice: Choice, quorum: int) -> tuple[list[tuple[int, str]], Change]:
    """Forgets at most BATCH lessons of a choice; gives their numbers and ids, none once none is left."""
    condition, values = where(choice)
    found = connection.execute(
        "SELECT lesson.seq, question || '.' || row, version, content, label, agent"  # noqa: S608 - marks only
        f" FROM {FROM} WHERE {condition} LIMIT {BATCH}",
        values,
    ).fetchall()
    change = Change()
    whoever = choice.label != "" and replace(choice, label="", model="", version_digest="").of_all
    for seq, _, version, content, label, teacher in found:
        _remove(connection, seq, change)
        connection.execute(
            "DELETE FROM vote WHERE version = ? AND content = ? AND label = ? AND (? OR teacher = ?)",
            (version, content, label, whoever, teacher),
        )
        connection.execute(  # its last word is the one before
            f"INSERT OR IGNORE INTO vote SELECT version, content, agent, label FROM {FROM} WHERE version = ?"  # noqa: S608 - constants
            f" AND content = ? AND agent = ? AND state <> {State.ASIDE:d} ORDER BY lesson.seq DESC LIMIT 1",
            (version, content, teacher),
        )
        _restate(connection, version, content, quorum, change)
    _count(connection, "forgotten", len(found))
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
            _stand(connection, seq, (version, label), State(was), State.ASIDE, size, change)
        _restate(connection, version, content, quorum, change)
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
        _stand(connection, seq, (version, label), State.ASIDE, State.HELD, size, change)
    for _, version, content, _, _ in found:
        _restate(connection, version, content, quorum, change)
    return len(found), change.pure()


def left(connection: sqlite3.Connection, model: str) -> None:
    """What had to leave what was learnt of a model has left it."""
    connection.execute(
        "DELETE FROM tally WHERE name IN (SELECT 'leaving/' || number FROM version WHERE model = ?)", (model,)
    )


def shift(connection: sqlite3.Connection, since: float, until: float, by_s: float) -> None:
    """Corrects what was noted by a clock that was wrong, after it was set."""
    connection.execute("UPDATE lesson SET at = at + ? WHERE at BETWEEN ? AND ?", (by_s, since, until))


def _bytes(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT value FROM tally WHERE name = 'bytes'").fetchone()
    return 0 if found is None else int(found[0])


def _version(connection: sqlite3.Connection, lesson: Lesson) -> tuple[int, int]:
    """The number of a lesson's version, and how long embeddings of it are."""
    key = (lesson.model, lesson.version_digest)
    query = "SELECT number, width FROM version WHERE model = ? AND digest = ?"
    found = connection.execute(query, key).fetchone()
    if found is None:
        made = connection.execute("INSERT INTO version VALUES (NULL, ?, ?, ?)", (*key, len(lesson.embedding)))
        return int(made.lastrowid or 0), len(lesson.embedding)
    return int(found[0]), int(found[1])


def _too_many(connection: sqlite3.Connection, version: int, label: str) -> bool:
    """Whether a label would be one class too many."""
    if connection.execute("SELECT 1 FROM class WHERE version = ? AND label = ?", (version, label)).fetchone():
        return False
    (classes,) = connection.execute("SELECT count(*) FROM class WHERE version = ?", (version,)).fetchone()
    return bool(classes >= MAX_CLASSES)


def _vote(connection: sqlite3.Connection, version: int, lesson: Lesson, among_others: bool) -> None:
    """Notes what a teacher said of a content, once for each teacher: the last word counts."""
    key = (version, lesson.content)
    others = 0
    if among_others:
        (others,) = connection.execute(
            "SELECT count(*) FROM vote WHERE version = ? AND content = ? AND teacher <> ?", (*key, lesson.teacher)
        ).fetchone()
    if others < MAX_VOTES:
        connection.execute("INSERT OR REPLACE INTO vote VALUES (?, ?, ?, ?)", (*key, lesson.teacher, lesson.label))


def _teacher(connection: sqlite3.Connection, lesson: Lesson) -> int:
    """The number of a lesson's teacher."""
    key = (lesson.teacher, lesson.teacher_tier, lesson.policy)
    found = connection.execute("SELECT number FROM teacher WHERE agent = ? AND tier = ? AND policy = ?", key).fetchone()
    if found is None:
        return int(connection.execute("INSERT INTO teacher VALUES (NULL, ?, ?, ?)", key).lastrowid or 0)
    return int(found[0])


def _insert(connection: sqlite3.Connection, lesson: Lesson, version: int, state: State) -> int:
    teacher = _teacher(connection, lesson)
    facts, embedding = facts_of(lesson), lesson.embedding.astype("<f2").tobytes()
    size = len(facts) + len(embedding) + len(lesson.input) + OVERHEAD
    seq = connection.execute(
        "INSERT INTO lesson VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (lesson.question, lesson.row, version, teacher, state, lesson.label, lesson.known, lesson.content,
         lesson.source, lesson.at, size, lesson.consent, facts, embedding, lesson.sealed, lesson.input),
    ).lastrowid  # fmt: skip
    _count(connection, "bytes", size)
    if state is State.TAKEN:
        _count_class(connection, (version, lesson.label), 1, size)
    return int(seq or 0)


def _restate(connection: sqlite3.Connection, version: int, content: bytes, quorum: int, change: Change) -> None:
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
        _stand(connection, seq, (version, label), State(was), state, size, change)


def _stand(
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
        change.removed.append(_one(connection, seq))
        _count_class(connection, key, -1, -size)
    connection.execute("UPDATE lesson SET state = ? WHERE seq = ?", (state, seq))
    if state is State.TAKEN:
        change.added.append(_one(connection, seq))
        _count_class(connection, key, 1, size)


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
            _remove(connection, one, change)
        gone += len(alike)
    return gone


def _remove(connection: sqlite3.Connection, seq: int, change: Change) -> None:
    version, content, label, state, size = connection.execute(
        "SELECT version, content, label, state, bytes FROM lesson WHERE seq = ?", (seq,)
    ).fetchone()
    _stand(connection, seq, (version, label), State(state), State.HELD, size, change)
    connection.execute("DELETE FROM lesson WHERE seq = ?", (seq,))
    connection.execute(  # who said what of it is kept as long as there is one of it
        "DELETE FROM vote WHERE version = ?1 AND content = ?2 AND NOT EXISTS"
        " (SELECT 1 FROM lesson WHERE version = ?1 AND content = ?2)",
        (version, content),
    )
    _count(connection, "bytes", -size)


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


def _one(connection: sqlite3.Connection, seq: int) -> Lesson:
    row: tuple[Any, ...] = connection.execute(
        f"SELECT {COLUMNS}, {NO_INPUT} FROM {FROM} WHERE lesson.seq = ?",  # noqa: S608 - constants
        (seq,),
    ).fetchone()
    return lesson_of(row)


def _count(connection: sqlite3.Connection, name: str, by: int) -> None:
    if by:
        connection.execute(
            "INSERT INTO tally VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2", (name, by)
        )


def _must_go(connection: sqlite3.Connection, change: Change) -> Change:
    """Counts what all that was learnt must lose, by version and for good, and notes the lowest number until it has;
    see `looking.must_go` and `looking.leaving`."""
    for key, lessons in Counter((one.model, one.version_digest) for one in change.removed).items():
        (version,) = connection.execute("SELECT number FROM version WHERE model = ? AND digest = ?", key).fetchone()
        _count(connection, f"must_go/{version}", lessons)
        lowest = min(one.seq for one in change.removed if (one.model, one.version_digest) == key)
        connection.execute(
            "INSERT INTO tally VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = min(value, ?2)",
            (f"leaving/{version}", lowest),
        )
    return change


def _count_class(connection: sqlite3.Connection, key: Sequence[Any], lessons: int, size: int) -> None:
    connection.execute(
        "INSERT INTO class VALUES (?1, ?2, ?3, ?4) ON CONFLICT (version, label) DO UPDATE SET lessons = lessons + ?3,"
        " bytes = bytes + ?4",
        (*key, lessons, size),
    )
    if lessons < 0:
        connection.execute("DELETE FROM class WHERE version = ? AND label = ? AND lessons = 0", tuple(key))
