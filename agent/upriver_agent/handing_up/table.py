"""The tables of what waits to be handed up, in the file of the lessons, so that one transaction changes both."""

from typing import Final

STATEMENTS: Final = (
    "CREATE TABLE handing (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, forgotten INTEGER NOT"
    " NULL, tried INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX handing_forgotten ON handing (number) WHERE forgotten = 1",
    "CREATE TABLE handing_seen (seq INTEGER PRIMARY KEY)",
    "CREATE TABLE handing_todo (seq INTEGER PRIMARY KEY)",
    "CREATE TABLE handing_tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)
"""`handing` has lessons, and ids that were forgotten; `handing_seen` the agent's own lessons that were put
there, `handing_todo` those that are to be."""

WATCH: Final = (
    "CREATE TRIGGER handing_missed AFTER DELETE ON lesson WHEN OLD.consent = 1 AND length(OLD.input) > 0 AND NOT EXISTS"
    " (SELECT 1 FROM handing_seen WHERE seq = OLD.seq) BEGIN INSERT INTO handing_tally VALUES ('missed', 1)"
    " ON CONFLICT (name) DO UPDATE SET value = value + 1; DELETE FROM handing_todo WHERE seq = OLD.seq; END",
    "CREATE TRIGGER handing_new AFTER INSERT ON lesson WHEN NEW.state = 1 AND NEW.consent = 1 AND length(NEW.input) > 0"
    " BEGIN INSERT INTO handing_todo VALUES (NEW.seq); END",
    "CREATE TRIGGER handing_state AFTER UPDATE OF state ON lesson WHEN NEW.consent = 1 AND length(NEW.input) > 0 BEGIN"
    " DELETE FROM handing_todo WHERE seq = NEW.seq; INSERT INTO handing_todo SELECT NEW.seq WHERE NEW.state = 1"
    " AND NOT EXISTS (SELECT 1 FROM handing_seen WHERE seq = NEW.seq); END",
    """CREATE TRIGGER handing_aside AFTER UPDATE OF state ON lesson WHEN NEW.state = 3 AND EXISTS (SELECT 1 FROM
    handing, handing_seen WHERE id = NEW.question || '.' || NEW.row AND forgotten = 0 AND tried = 0 AND seq = NEW.seq)
    BEGIN INSERT INTO handing_tally SELECT 'bytes', -size FROM handing WHERE id = NEW.question || '.' || NEW.row
    UNION ALL SELECT 'withdrawn', 1 WHERE true ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    DELETE FROM handing WHERE id = NEW.question || '.' || NEW.row;
    DELETE FROM handing_seen WHERE seq = NEW.seq; END""",
)
"""Behind the tables of lessons. Keeps `handing_todo`: lessons that count and have their inputs. Counts those that left
the journal before they were put into what waits. Takes those out of it that were never tried when their teacher is not
believed any more, to go up when it is again."""
