"""The tables that lessons are kept in, and a lesson as a row of them.

Versions and teachers repeat in every lesson, so they have numbers here.
"""

import json
from typing import Any, Final

import numpy as np

from upriver.errors import DiskTrouble
from upriver_agent.lessons.lesson import Lesson, State

FILE: Final = "lessons.db"

STATEMENTS: Final = (
    "CREATE TABLE version (number INTEGER PRIMARY KEY, model TEXT NOT NULL, digest TEXT NOT NULL, width INTEGER NOT"
    " NULL, UNIQUE (model, digest))",
    "CREATE TABLE teacher (number INTEGER PRIMARY KEY, agent TEXT NOT NULL, tier TEXT NOT NULL, policy TEXT NOT"
    " NULL, UNIQUE (agent, tier, policy))",
    """CREATE TABLE lesson (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        question TEXT NOT NULL,
        row INTEGER NOT NULL,
        version INTEGER NOT NULL,
        teacher INTEGER NOT NULL,
        state INTEGER NOT NULL,
        label TEXT NOT NULL,
        known REAL NOT NULL,
        content BLOB NOT NULL,
        source TEXT NOT NULL,
        at REAL NOT NULL,
        bytes INTEGER NOT NULL,
        consent INTEGER NOT NULL,
        facts TEXT NOT NULL,
        embedding BLOB NOT NULL,
        sealed TEXT NOT NULL,
        input BLOB NOT NULL,
        counted INTEGER NOT NULL,
        UNIQUE (question, row))""",
    "CREATE INDEX alike ON lesson (version, content)",
    "CREATE INDEX easiest ON lesson (version, label, known DESC, seq) WHERE state = 1",
    "CREATE INDEX idle ON lesson (seq) WHERE state <> 1",
    "CREATE INDEX age ON lesson (at)",
    "CREATE INDEX taught ON lesson (teacher)",
    "CREATE TABLE class (version INTEGER NOT NULL, label TEXT NOT NULL, lessons INTEGER NOT NULL, bytes INTEGER NOT"
    " NULL, PRIMARY KEY (version, label)) WITHOUT ROWID",
    "CREATE TABLE vote (version INTEGER NOT NULL, content BLOB NOT NULL, teacher TEXT NOT NULL, label TEXT NOT"
    " NULL, PRIMARY KEY (version, content, teacher)) WITHOUT ROWID",
    "CREATE TABLE standing (teacher TEXT PRIMARY KEY, changed REAL NOT NULL, quarantined INTEGER NOT NULL, state"
    " TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)
"""What makes the tables; `counted` is whether a lesson has counted, since it was last set aside. The file has those of
other packages too, which keep what they make of lessons."""

COLUMNS: Final = (
    "lesson.seq, question, row, model, digest, state, label, known, content, source, at, consent, facts, embedding,"
    " sealed, agent, tier, policy, length(input) > 0"
)
FROM: Final = "lesson JOIN version ON version.number = version JOIN teacher ON teacher.number = teacher"
NO_INPUT: Final = "x''"
"""In the place of `input`, where that is not wanted."""


class LessonDamaged(DiskTrouble):
    """A lesson's row does not hold what was written."""


def facts_of(lesson: Lesson) -> str:
    """What nothing is looked up by, as JSON."""
    facts = {
        "student": lesson.student_label,
        "confidence": lesson.student_confidence,
        "teacher": lesson.teacher_confidence,
        "p": dict(lesson.probabilities),
        "trace": lesson.trace_id,
        "span": lesson.span_id,
        "draw": lesson.draw,
    }
    return json.dumps(facts, separators=(",", ":"), ensure_ascii=False)


def lesson_of(row: tuple[Any, ...]) -> Lesson:
    """The lesson of a row of COLUMNS with the input behind them; raises LessonDamaged."""
    try:
        seq, question, number, model, digest, state, label, known, content, source, at, consent, facts, embedding = row[
            :14
        ]
        sealed, agent, tier, policy, has_input, kept = row[14:]
        fields: dict[str, Any] = json.loads(facts)
        if not (isinstance(kept, bytes) and isinstance(content, bytes)):
            raise ValueError("its contents are no bytes")
        return Lesson(
            question=question,
            row=number,
            model=model,
            version_digest=digest,
            embedding=np.frombuffer(embedding, "<f2").astype(np.float16, copy=False),
            student_label=fields["student"],
            student_confidence=fields["confidence"],
            known=known,
            label=label,
            probabilities=fields["p"],
            teacher=agent,
            teacher_tier=tier,
            policy=policy,
            teacher_confidence=fields["teacher"],
            trace_id=fields["trace"],
            at=at,
            draw=fields["draw"],
            content=content,
            source=source,
            consent=bool(consent),
            input=kept,
            sealed=sealed,
            has_input=bool(has_input),
            state=State(state),
            seq=seq,
            span_id=fields.get("span", ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LessonDamaged(f"what was kept of lesson {row[1]}.{row[2]} is damaged: {error}") from error
