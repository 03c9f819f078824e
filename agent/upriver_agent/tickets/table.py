"""The tables that tickets are kept in, and a ticket as a row of them."""

from dataclasses import dataclass
from typing import Any, Final

from upriver.errors import DiskTrouble
from upriver_agent.telemetry import NOWHERE, Origin
from upriver_agent.tickets.rules import Course, State, Waiting, Worth

SCHEMA: Final = (
    (
        """CREATE TABLE ticket (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            model TEXT NOT NULL,
            state INTEGER NOT NULL,
            created_at REAL NOT NULL,
            worth INTEGER NOT NULL,
            rank REAL NOT NULL,
            bytes INTEGER NOT NULL,
            waiting INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            next_at REAL NOT NULL,
            closed_at REAL NOT NULL,
            cursor INTEGER NOT NULL,
            answered_by TEXT NOT NULL,
            request BLOB NOT NULL,
            guess BLOB NOT NULL,
            answer BLOB NOT NULL)""",
        "CREATE INDEX least ON ticket (worth, rank)",
        "CREATE INDEX next ON ticket (model, waiting, worth DESC, seq) WHERE state = 1",
        "CREATE INDEX stale ON ticket (model, epoch) WHERE state = 1",
        "CREATE INDEX age ON ticket (created_at)",
        "CREATE INDEX told ON ticket (cursor) WHERE state = 2",
        "CREATE TABLE gone (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL)",
        "CREATE TABLE pair (model TEXT NOT NULL, digest TEXT NOT NULL, epoch INTEGER NOT NULL, own INTEGER NOT NULL, "
        "PRIMARY KEY (model, digest))",
        "CREATE TABLE tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
        "INSERT INTO tally VALUES ('bytes', 0), ('open', 0), ('issued', 0), ('answered', 0), ('expired', 0), "
        "('dropped', 0), ('cursor', CAST(strftime('%s', 'now') AS INTEGER) * 1000000)",
    ),
    (
        "ALTER TABLE ticket ADD COLUMN trace TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE ticket ADD COLUMN span TEXT NOT NULL DEFAULT ''",
    ),
)
COLUMNS: Final = (
    "seq, id, model, state, created_at, worth, waiting, epoch, attempts, next_at, closed_at, cursor, answered_by, "
    "trace, span, guess, answer"
)


class TicketDamaged(DiskTrouble):
    """A ticket's row does not hold what was written."""


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket to be kept. `request` and `guess` are messages of the inference protocol, of one row."""

    id: str
    model: str
    confidence: float
    waiting: Waiting
    request: bytes
    guess: bytes
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as it is kept; `cursor` numbers the answers. Times are Unix times."""

    seq: int
    id: str
    model: str
    state: State
    created_at: float
    worth: Worth
    course: Course
    closed_at: float
    cursor: int
    answered_by: str
    request: bytes
    guess: bytes
    answer: bytes
    origin: Origin = NOWHERE


def ticket_of(row: tuple[Any, ...]) -> Ticket:
    """The ticket of a row of COLUMNS with the request behind them; raises TicketDamaged."""
    seq, id_, model, state, created_at, worth, waiting, *course = row[:10]
    closed_at, cursor, answered_by, trace, span, guess, answer_, asked = row[10:]
    if not all(isinstance(blob, bytes) for blob in (guess, answer_, asked)):
        raise TicketDamaged(f"what was kept of ticket {id_} is damaged")
    try:
        stands = Course(Waiting(waiting), *course)
        return Ticket(
            seq,
            id_,
            model,
            State(state),
            created_at,
            Worth(worth),
            stands,
            closed_at,
            cursor,
            answered_by,
            asked,
            guess,
            answer_,
            Origin(trace, span),
        )
    except ValueError as error:
        raise TicketDamaged(f"what was kept of ticket {id_} is damaged: {error}") from error
