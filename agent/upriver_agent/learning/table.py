"""The tables of what heads are tested on and of how they fared, in the file that lessons are in too."""

from typing import Final

STATEMENTS: Final = (
    """CREATE TABLE held_out (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        question TEXT NOT NULL,
        row INTEGER NOT NULL,
        asked REAL NOT NULL,
        draw REAL NOT NULL,
        label TEXT NOT NULL,
        top TEXT NOT NULL,
        top_version TEXT NOT NULL,
        policy TEXT NOT NULL,
        passes INTEGER NOT NULL,
        confidence REAL,
        rate REAL NOT NULL,
        embedding BLOB NOT NULL,
        UNIQUE (model, version, question, row))""",
    "CREATE INDEX held_out_by_top ON held_out (model, version, top, seq)",
    """CREATE TABLE trial (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        at REAL NOT NULL,
        head TEXT NOT NULL,
        lessons INTEGER NOT NULL,
        until INTEGER NOT NULL,
        promoted INTEGER NOT NULL,
        record TEXT NOT NULL)""",
    "CREATE INDEX trial_by_model ON trial (model, seq)",
    "CREATE TABLE learning (model TEXT PRIMARY KEY, held INTEGER NOT NULL, since REAL NOT NULL) WITHOUT ROWID",
)
"""`rate` of a question held out is how likely its draw has it so. `learning` has, by model, whether an operator holds
it, and the time before which nothing held out counts."""
