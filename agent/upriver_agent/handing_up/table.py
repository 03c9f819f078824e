"""The tables of what waits to be handed up, in the file of the lessons, so that one transaction changes both."""

from typing import Final

STATEMENTS: Final = (
    "CREATE TABLE handing (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, forgotten INTEGER NOT"
    " NULL, tried INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX handing_forgotten ON handing (number) WHERE forgotten = 1",
    "CREATE TABLE handing_seen (seq INTEGER PRIMARY KEY)",
    "CREATE TABLE handing_tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)
"""`handing` has lessons, and ids that were forgotten; `handing_seen` the agent's own lessons that were put there."""

WATCH: Final = (
    "CREATE TRIGGER handing_missed AFTER DELETE ON lesson WHEN OLD.consent = 1 AND length(OLD.input) > 0 AND NOT EXISTS"
    " (SELECT 1 FROM handing_seen WHERE seq = OLD.seq) BEGIN INSERT INTO handing_tally VALUES ('missed', 1)"
    " ON CONFLICT (name) DO UPDATE SET value = value + 1; END",
)
"""Counts lessons with their inputs that left the journal before they were put there; behind the tables of lessons."""
