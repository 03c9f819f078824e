"""Tickets in the journal. Every function is one transaction's part or one look, and takes the connection.

What is kept is bounded in bytes: a new ticket puts out the least valuable ones. Of tickets that are gone a short note
stays, so that who asks for one is told what became of it; the notes are bounded too.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from upriver_agent.tickets.rules import FORGIVEN, LONGEST_MODEL_S, Course, State, Waiting, Worth, rank_of, worth_of
from upriver_agent.tickets.table import COLUMNS, NewTicket, Ticket, TicketDamaged, ticket_of

OVERHEAD: Final = 1024
"""Bytes that a ticket counts besides its contents: its row, the indexes, and the rest of its last page."""
MAX_GONE: Final = 10_000
MAX_PAIRS: Final = 64
"""Pairs of one model that are remembered as seen."""
_BATCH: Final = 50
_NO_INPUT: Final = "x''"


def add(
    connection: sqlite3.Connection, new: Iterable[NewTicket], epoch: int, now: float, max_bytes: int
) -> frozenset[str]:
    """Keeps tickets, putting out what is worth less; gives the ids of those that are kept."""
    ids = []
    for ticket in new:
        size = len(ticket.request) + len(ticket.guess) + OVERHEAD
        connection.execute(
            "INSERT INTO ticket VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, '', ?, ?, x'', ?, ?)",
            (ticket.id, ticket.model, State.OPEN, now, worth_of(ticket.waiting, wanted=False),
             rank_of(now, ticket.confidence), size, ticket.waiting, epoch, ticket.request, ticket.guess,
             ticket.origin.trace_id, ticket.origin.span_id),
        )  # fmt: skip
        _count(connection, bytes=size, open=1, issued=1)
        ids.append(ticket.id)
    put_out = make_room(connection, max_bytes)
    return frozenset(ids) - put_out


def make_room(connection: sqlite3.Connection, max_bytes: int) -> frozenset[str]:
    """Drops the least valuable tickets until the others fit; gives their ids."""
    dropped: set[str] = set()
    over = tally(connection)["bytes"] - max_bytes
    while over > 0:
        least = connection.execute(
            f"SELECT seq, id, state, worth, bytes FROM ticket ORDER BY worth, rank LIMIT {_BATCH}"  # noqa: S608 - a constant
        ).fetchall()
        if not least:
            break
        for seq, id_, state, worth, size in least:
            lost = worth != Worth.DELIVERED
            _remove(connection, seq, id_, State(state), size, State.DROPPED)
            _count(connection, dropped=int(lost))
            dropped.add(id_)
            over -= size
            if over <= 0:
                break
    return frozenset(dropped)


def expire(connection: sqlite3.Connection, before: float) -> list[str]:
    """Ends what is older; gives the ids of the tickets that were still open."""
    old = connection.execute("SELECT seq, id, state, bytes FROM ticket WHERE created_at < ?", (before,)).fetchall()
    for seq, id_, state, size in old:
        _remove(connection, seq, id_, State(state), size, State.EXPIRED)
        _count(connection, expired=int(state == State.OPEN))
    return [id_ for _, id_, state, _ in old if state == State.OPEN]


def delete(connection: sqlite3.Connection, id_: str, lost: bool = False) -> bool:
    """Forgets a ticket because somebody wants it so, or because it is `lost`; False when it is not there."""
    row = connection.execute("SELECT seq, state, bytes FROM ticket WHERE id = ?", (id_,)).fetchone()
    if row is None:
        return False
    seq, state, size = row
    _remove(connection, seq, id_, State.ANSWERED if state == State.ANSWERED else State.OPEN, size, State.DROPPED)
    _count(connection, dropped=int(lost))
    return True


def answer(connection: sqlite3.Connection, id_: str, reply: bytes, by: str, now: float) -> int:
    """Closes an open ticket with its answer, whose input is not needed any more; gives the cursor, 0 if not open."""
    row = connection.execute(
        "SELECT seq, bytes, length(guess) FROM ticket WHERE id = ? AND state = ?", (id_, State.OPEN)
    ).fetchone()
    if row is None:
        return 0
    size = row[2] + len(reply) + OVERHEAD
    cursor = tally(connection)["cursor"] + 1
    connection.execute(
        "UPDATE ticket SET state = ?, answer = ?, answered_by = ?, closed_at = ?, cursor = ?, bytes = ?, request = x'' "
        "WHERE seq = ?",
        (State.ANSWERED, reply, by, now, cursor, size, row[0]),
    )
    _count(connection, open=-1, answered=1, cursor=1, bytes=size - row[1])
    return cursor


def note_asked(connection: sqlite3.Connection, id_: str, course: Course, guess: bytes, confidence: float) -> None:
    """Notes that an open ticket was asked again in vain; `guess` empty keeps the one there is."""
    row = connection.execute(
        "SELECT seq, worth, created_at, length(guess) FROM ticket WHERE id = ? AND state = ?", (id_, State.OPEN)
    ).fetchone()
    if row is None:
        return
    seq, worth, created_at, old = row
    connection.execute(
        "UPDATE ticket SET waiting = ?, epoch = ?, attempts = ?, next_at = ?, worth = ? WHERE seq = ?",
        (course.waiting, course.epoch, course.attempts, course.next_at,
         worth_of(course.waiting, worth == Worth.WANTED), seq),
    )  # fmt: skip
    if guess:
        connection.execute(
            "UPDATE ticket SET guess = ?, rank = ?, bytes = bytes + ? WHERE seq = ?",
            (guess, rank_of(created_at, confidence), len(guess) - old, seq),
        )
        _count(connection, bytes=len(guess) - old)


def want(connection: sqlite3.Connection, id_: str) -> None:
    """Notes that somebody asks about a ticket."""
    connection.execute("UPDATE ticket SET worth = ? WHERE id = ? AND state = ?", (Worth.WANTED, id_, State.OPEN))


def deliver(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Notes that answers were given to somebody."""
    for id_ in ids:
        connection.execute(
            "UPDATE ticket SET worth = ? WHERE id = ? AND state = ?", (Worth.DELIVERED, id_, State.ANSWERED)
        )


def forgive(connection: sqlite3.Connection, model: str) -> None:
    """Has what waits for an upstream asked at once: one has returned."""
    connection.execute(
        "UPDATE ticket SET next_at = 0 WHERE state = 1 AND model = ? AND waiting = ? AND attempts < ? AND next_at > 0",
        (model, Waiting.UPSTREAM, FORGIVEN),
    )


def shift(connection: sqlite3.Connection, since: float, until: float, by_s: float) -> None:
    """Corrects what was noted by a clock that was wrong, after it was set."""
    connection.execute(
        "UPDATE ticket SET created_at = created_at + ?1, rank = rank + ?1 WHERE created_at BETWEEN ?2 AND ?3",
        (by_s, since, until),
    )
    connection.execute("UPDATE ticket SET next_at = 0 WHERE state = 1 AND next_at > 0")


def due(connection: sqlite3.Connection, model: str, epoch: int, way_up: bool, now: float, limit: int) -> list[str]:
    """Ids of open tickets of a model that may be asked again now (`rules.is_due`), the most valuable first."""
    found: list[str] = []
    stale = "SELECT 1 FROM ticket WHERE state = 1 AND model = ? AND epoch < ? LIMIT 1"
    for wanted, rest, values in (
        (way_up, "waiting = ?", (Waiting.UPSTREAM,)),
        (connection.execute(stale, (model, epoch)).fetchone(), "epoch < ?", (epoch,)),
    ):
        if wanted:
            query = (
                "SELECT id FROM ticket WHERE state = 1 AND model = ? AND (next_at <= ? OR next_at > ?) "  # noqa: S608 - of this module's own words
                f"AND {rest} ORDER BY worth DESC, seq LIMIT ?"
            )
            rows = connection.execute(query, (model, now, now + LONGEST_MODEL_S, *values, limit))
            found += [id_ for (id_,) in rows if id_ not in found]
    return found


def find(connection: sqlite3.Connection, id_: str, with_input: bool) -> "Ticket | State | None":
    """A ticket; how it ended if it is gone; None when it was never here, or is long forgotten.

    Raises TicketDamaged.
    """
    found = _rows(connection, "id = ?", (id_,), "request" if with_input else _NO_INPUT).fetchone()
    if found is not None:
        return ticket_of(found)
    row = connection.execute("SELECT state FROM gone WHERE id = ?", (id_,)).fetchone()
    return None if row is None else State(row[0])


def listing(connection: sqlite3.Connection, state: int, model: str, after: int, limit: int) -> list[Ticket]:
    """Tickets in the order of their issue, from behind `after`, without inputs; state 0 and model "" are any."""
    return _tickets(
        connection,
        "seq > ? AND (? = 0 OR state = ?) AND (? = '' OR model = ?) ORDER BY seq LIMIT ?",
        (after, state, state, model, model, limit),
        _NO_INPUT,
    )


def answered_since(connection: sqlite3.Connection, cursor: int, limit: int) -> list[Ticket]:
    """Answered tickets from behind a cursor on, in the order in which they were answered."""
    where = "state = 2 AND cursor > ? ORDER BY cursor LIMIT ?"
    return _tickets(connection, where, (cursor, limit), _NO_INPUT)


def tally(connection: sqlite3.Connection) -> dict[str, int]:
    """The counters: bytes and open are of now, the others since the journal began."""
    return dict(connection.execute("SELECT name, value FROM tally").fetchall())


def pairs(connection: sqlite3.Connection) -> list[tuple[str, str, int, bool]]:
    """Every pair that was seen: model, digest, epoch, and whether it was last this agent's own."""
    rows = connection.execute("SELECT model, digest, epoch, own FROM pair ORDER BY model, epoch").fetchall()
    return [(model, digest, epoch, bool(own)) for model, digest, epoch, own in rows]


def newest_epochs(connection: sqlite3.Connection) -> dict[str, int]:
    """The highest epoch that an open ticket of each model has seen."""
    return dict(connection.execute("SELECT model, max(epoch) FROM ticket WHERE state = 1 GROUP BY model").fetchall())


def note_pairs(connection: sqlite3.Connection, model: str, seen: Mapping[str, int], own: str) -> None:
    """Notes which pairs of a model were seen, {digest: epoch}; of too many the newest stay."""
    for digest, epoch in seen.items():
        connection.execute("INSERT OR REPLACE INTO pair VALUES (?, ?, ?, ?)", (model, digest, epoch, digest == own))
    connection.execute("UPDATE pair SET own = (digest = ?) WHERE model = ?", (own, model))
    connection.execute(
        "DELETE FROM pair WHERE model = ?1 AND own = 0 AND digest NOT IN "
        "(SELECT digest FROM pair WHERE model = ?1 ORDER BY epoch DESC LIMIT ?2)",
        (model, MAX_PAIRS),
    )


def _remove(connection: sqlite3.Connection, seq: int, id_: str, was: State, size: int, now: State) -> None:
    connection.execute("DELETE FROM ticket WHERE seq = ?", (seq,))
    _count(connection, bytes=-size, open=-int(was is State.OPEN))
    connection.execute("INSERT OR REPLACE INTO gone (id, state) VALUES (?, ?)", (id_, now))
    connection.execute("DELETE FROM gone WHERE seq <= (SELECT max(seq) FROM gone) - ?", (MAX_GONE,))


def _count(connection: sqlite3.Connection, **by: int) -> None:
    for name, value in by.items():
        if value:
            connection.execute("UPDATE tally SET value = value + ? WHERE name = ?", (value, name))


def _tickets(
    connection: sqlite3.Connection, where: str, values: tuple[object, ...], request: str = "request"
) -> list[Ticket]:
    """Tickets; those whose rows are damaged are left out."""
    found = []
    for row in _rows(connection, where, values, request):
        with suppress(TicketDamaged):
            found.append(ticket_of(row))
    return found


def _rows(connection: sqlite3.Connection, where: str, values: tuple[object, ...], request: str) -> sqlite3.Cursor:
    query = f"SELECT {COLUMNS}, {request} FROM ticket WHERE {where}"  # noqa: S608 - of this module's own words
    return connection.execute(query, values)
