"""The holdout in the journal: questions that never teach, with what the top answered. Heads are tested on nothing else.

A question is in it by its draw alone, whatever it is about and whoever answered it. Of a version's only those count
that the pair on top answered which answered last: another top is another promise. Every function is one transaction's
part or one look, and takes the connection.
"""

import hashlib
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver_agent.auditing.case import Verdict

MOST: Final = 5_000
"""Questions that are held out of one version, the newest."""
WANTED: Final = 2_000
"""With so many no more are asked for than audits bring anyway: further ones gain little (docs/learning.md)."""
MOST_VERSIONS: Final = 8
"""Versions of one model that questions are kept of, those that were asked last."""

MAX_MODELS: Final = 64


@dataclass(frozen=True, slots=True)
class Key:
    """What a holdout is of: a version of a model, and the pair on top, by its policy's digest."""

    model: str
    version: str
    top: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A holdout, in the order in which it came: [questions] each, `embeddings` [questions, embedding] as they were.

    `policies` names the pair that answered here at that time, `passes` whether its confidence reached its threshold.
    """

    key: Key
    top_version: str
    ids: tuple[str, ...]
    embeddings: NDArray[np.float32]
    labels: tuple[str, ...]
    policies: tuple[str, ...]
    passes: NDArray[np.bool_]

    def digest(self) -> str:
        """Names the questions and what the top answered."""
        told = hashlib.sha256()
        for id_, label in sorted(zip(self.ids, self.labels, strict=True)):
            told.update(f"{id_}\t{label}\n".encode())
        return "sha256:" + told.hexdigest()


def add(connection: sqlite3.Connection, verdicts: Sequence[Verdict], top_version: str, share: float = 1.0) -> int:
    """Keeps verdicts that have an embedding; gives how many are new. The oldest go when there are too many.

    `share` is that of all questions which never teach: those of `verdicts` draw below it.
    """
    before = connection.total_changes
    connection.executemany(
        "INSERT OR IGNORE INTO held_out (model, version, question, row, asked, draw, label, top, top_version, policy,"
        " passes, confidence, rate, embedding) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_row(one, top_version, share) for one in verdicts if one.embedding is not None],
    )
    new = connection.total_changes - before
    kept = {(one.case.model, one.case.version_digest) for one in verdicts}
    for model, version in kept:
        connection.execute(
            "DELETE FROM held_out WHERE seq IN (SELECT seq FROM held_out WHERE model = ? AND version = ?"
            " ORDER BY seq DESC LIMIT -1 OFFSET ?)",
            (model, version, MOST),
        )
    for model in {model for model, _ in kept} if new else ():
        connection.execute(
            "DELETE FROM held_out WHERE model = ?1 AND version NOT IN (SELECT version FROM held_out WHERE model = ?1"
            " GROUP BY version ORDER BY max(seq) DESC LIMIT ?2)",
            (model, MOST_VERSIONS),
        )
    if new:
        connection.execute(
            "DELETE FROM held_out WHERE model NOT IN (SELECT model FROM held_out GROUP BY model"
            " ORDER BY max(seq) DESC LIMIT ?)",
            (MAX_MODELS,),
        )
    return new


def key_of(connection: sqlite3.Connection, model: str, version: str) -> Key | None:
    """The holdout of a version that counts now; None when there is none."""
    found = connection.execute(
        "SELECT top FROM held_out WHERE model = ? AND version = ? ORDER BY seq DESC LIMIT 1", (model, version)
    ).fetchone()
    return None if found is None else Key(model, version, found[0])


def count(connection: sqlite3.Connection, key: Key) -> int:
    """How many questions it has."""
    (found,) = connection.execute(
        f"SELECT count(*) FROM held_out WHERE {_OF}",  # noqa: S608 - a constant
        _values(connection, key),
    ).fetchone()
    return int(found)


def asked(connection: sqlite3.Connection, key: Key, since: float) -> tuple[int, float]:
    """How many of it were asked after a Unix time, and for how many questions that were asked they stand."""
    count, questions = connection.execute(
        f"SELECT count(*), total(1.0 / rate) FROM held_out WHERE {_OF} AND asked > ?",  # noqa: S608 - a constant
        (*_values(connection, key), since),
    ).fetchone()
    return int(count), float(questions)


def read(connection: sqlite3.Connection, key: Key, width: int) -> HeldOut:
    """The questions of a holdout whose embedding is of the width that it should be."""
    rows = connection.execute(
        f"SELECT question, row, label, policy, passes, embedding, top_version FROM held_out WHERE {_OF} ORDER BY seq",  # noqa: S608 - a constant
        _values(connection, key),
    ).fetchall()
    rows = [row for row in rows if len(row[5]) == 4 * width]
    joined = b"".join(row[5] for row in rows)
    return HeldOut(
        key=key,
        top_version=rows[-1][6] if rows else "",
        ids=tuple(f"{question}.{row}" for question, row, *_ in rows),
        embeddings=np.frombuffer(joined, "<f4").astype(np.float32).reshape(len(rows), width),
        labels=tuple(row[2] for row in rows),
        policies=tuple(row[3] for row in rows),
        passes=np.array([bool(row[4]) for row in rows], dtype=np.bool_),
    )


def restart(connection: sqlite3.Connection, model: str, since: float) -> None:
    """Has nothing count that was asked before a Unix time: what was true then is not any more."""
    connection.execute(
        "INSERT INTO learning VALUES (?1, 0, ?2) ON CONFLICT (model) DO UPDATE SET since = max(since, ?2)",
        (model, since),
    )


def hold(connection: sqlite3.Connection, model: str, held: bool) -> None:
    """Keeps whether an operator holds a model."""
    connection.execute(
        "INSERT INTO learning VALUES (?1, ?2, 0) ON CONFLICT (model) DO UPDATE SET held = ?2", (model, held)
    )


def holds(connection: sqlite3.Connection) -> frozenset[str]:
    """The models that an operator holds."""
    return frozenset(model for (model,) in connection.execute("SELECT model FROM learning WHERE held"))


_OF: Final = "model = ? AND version = ? AND top = ? AND asked >= ?"


def _values(connection: sqlite3.Connection, key: Key) -> tuple[str | float, ...]:
    found = connection.execute("SELECT since FROM learning WHERE model = ?", (key.model,)).fetchone()
    return (key.model, key.version, key.top, 0.0 if found is None else float(found[0]))


def _row(verdict: Verdict, top_version: str, share: float) -> tuple[object, ...]:
    case, embedding = verdict.case, verdict.embedding
    confidence = case.confidence if case.confidence is not None and math.isfinite(case.confidence) else None
    return (
        case.model,
        case.version_digest,
        case.question,
        case.row,
        case.asked,
        case.draw,
        verdict.top_answer,
        verdict.top_policy_digest,
        top_version,
        case.policy_digest,
        case.passes,
        confidence,
        max(min(case.rate, share), 1e-6),
        b"" if embedding is None else embedding.astype("<f4").tobytes(),
    )
