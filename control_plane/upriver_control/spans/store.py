"""Spans in their database: written in groups, looked for by what questions have, read by trace, and in their order.

Methods block; they raise Unreachable and DiskTrouble as Database does, and may be called by any thread.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from upriver_control.spans import looking
from upriver_control.spans.facts import SpanFacts
from upriver_control.spans.filters import Filter
from upriver_control.spans.kinds import KeptHop, Kinds
from upriver_control.spans.looking import Edge, Figures, Fresh, Page, Place
from upriver_control.spans.reading import Origin, facts_of, whose, written
from upriver_control.spans.rows import CallRow, HopRow, Kind, LinkRow, Parsed, SpanRow
from upriver_control.spans.schema import cursors, links, origins, spans
from upriver_control.spans.tree import MAX_SPANS
from upriver_control.store.database import Database, Sqlite, open_database

BUSY_MS: Final = 2000
MAX_TRACE_BYTES: Final = 16 << 20
MAX_LATER: Final = 100
IN_ORDER: Final = 0x7570726F  # an advisory lock of our own: "upro"
_SEEN_NS: Final = 10 * 10**9
"""How old the note may be that an origin still sends."""
_MAX_ORIGINS: Final = 10_000
_SETTINGS: Final = Sqlite(
    busy_ms=BUSY_MS,
    connections=4,
    full=False,
    # The first holds for a new file only. A log of 16 MiB is written back: pages of the ids change many times before.
    pragmas=("auto_vacuum=INCREMENTAL", "cache_size=-8192", "wal_autocheckpoint=4000"),
)


def open_spans(url: str) -> Database:
    """A database of spans, opened at its first use; raises ConfigError and RuntimeMissing for a URL that is none.

    When it is locked it is waited for only shortly.
    """
    scripts = Path(__file__).parent / "migrations"
    return open_database(url, retry_s=0.0, scripts=scripts, settings=_SETTINGS, late=True)


class Kept(NamedTuple):
    """A span in the order of coming."""

    id: int
    origin: Origin
    raw: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """How much there is. `oldest_ns` is when the oldest came, 0 without any."""

    spans: int
    bytes: int
    oldest_ns: int


class SpanStore:
    """Spans, and the questions that they tell of. Writes come from one thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._seen: dict[str, tuple[int, int]] = {}
        self._opened = 0
        marker = "?" if database.is_sqlite else "%s"
        self._kinds = Kinds(database.is_sqlite)
        self._inserts = tuple(
            _insert(name, fields, marker)
            for name, fields in (
                ("spans", SpanRow._fields),
                ("hops", KeptHop._fields),
                ("links", LinkRow._fields),
                ("calls", CallRow._fields),
            )
        )

    def origins(self, wanted: Iterable[Origin], now_ns: int) -> dict[Origin, int]:
        """The numbers of origins, which new ones get; and notes that spans come of them now."""
        self._look()
        by_digest = {origin.digest: origin for origin in wanted}
        due = {
            digest: origin
            for digest, origin in sorted(by_digest.items())  # one order for all, so that none wait for each other
            if self._seen.get(digest, (0, -_SEEN_NS))[1] < now_ns - _SEEN_NS
        }
        if due:
            if len(self._seen) + len(due) > _MAX_ORIGINS:
                self._seen.clear()
                due = dict(sorted(by_digest.items()))
            numbers = self.database.write(lambda connection: _note(connection, due, now_ns))
            self._seen |= {digest: (number, now_ns) for digest, number in numbers.items()}
        return {origin: self._seen[digest][0] for digest, origin in by_digest.items()}

    def write(self, parsed: Parsed) -> int:
        """Keeps what is new of it, all or none; gives how many spans were new."""
        now_ns = max((row.received_ns for row in parsed.spans), default=0)

        def run(connection: Connection) -> tuple[int, dict[Kind, int]]:
            if not self.database.is_sqlite:  # one writer at a time, as there: ids come to light in their order
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (IN_ORDER,))
            hops, noted = self._kinds.note(connection, parsed.hops, now_ns)
            new = 0
            for index, rows in enumerate((parsed.spans, hops, parsed.links, parsed.calls)):
                if rows:
                    done = connection.exec_driver_sql(self._inserts[index], rows)  # type: ignore[arg-type]  # tuples are
                    new += done.rowcount if index == 0 else 0
            return new, noted

        new, noted = self.database.write(run)
        self._kinds.learn(noted, now_ns)
        return new

    def _look(self) -> None:
        """Forgets what is remembered of the database where another may be in its place."""
        self.database.ready()
        if self._opened != self.database.opened:
            self._opened = self.database.opened
            self._seen.clear()
            self._kinds = Kinds(self.database.is_sqlite)

    def questions(self, wanted: Filter, after: Place | None = None, size: int = 50) -> Page:
        """Questions that fit, newest first, behind a place; at most `looking.MAX_PAGE`."""
        return self.database.read(lambda connection: looking.questions(connection, wanted, after, size))

    def summary(self, wanted: Filter) -> Figures:
        """Questions that fit, counted; their groups are to be given to `histogram.summarize`."""
        return self.database.read(lambda connection: looking.figures(connection, wanted))

    def question(self, trace: bytes, span: bytes) -> HopRow | None:
        """What is listed of a question at one agent; None when it is not here."""
        return self.database.read(lambda connection: looking.one(connection, trace, span))

    def first_of(self, question: str) -> tuple[bytes, bytes] | None:
        """The trace and span of where a question of this id was first asked; None when it is not here."""
        return self.database.read(lambda connection: looking.first_of(connection, question))

    def thresholds(self, rows: Sequence[HopRow]) -> dict[tuple[bytes, str], float]:
        """What those who answered held these questions' answers against, by trace and agent; of those that are here."""
        return self.database.read(lambda connection: looking.thresholds(connection, rows))

    def newest(self) -> int:
        """Where somebody begins who wants what comes from now on, see `fresh`."""
        return self.database.read(looking.newest)

    def fresh(self, after: int, most: int) -> Fresh:
        """Questions at agents that came behind an id, the newest first, at most so many."""
        return self.database.read(lambda connection: looking.fresh(connection, after, most))

    def edges(self, since_ns: int) -> list[Edge]:
        """Calls from an agent up to another since then, which must be some minutes ago at most."""
        return self.database.read(lambda connection: looking.edges(connection, since_ns))

    def trace(self, trace: bytes) -> list[SpanFacts]:
        """What is here of a trace, the earliest spans first, as many as are shown, and 16 MiB of them at most."""
        return [_facts(row) for row in self._of_trace(trace)]

    def count(self, trace: bytes) -> int:
        """How many spans of a trace are here."""
        asked = select(func.count()).select_from(spans).where(spans.c.trace == trace)
        return int(self.database.read(lambda connection: connection.scalar(asked)) or 0)

    def exported(self, trace: bytes) -> bytes:
        """The same as OTLP's `TracesData`."""
        return written((_origin(row), row.raw) for row in self._of_trace(trace))

    def later(self, trace: bytes) -> list[SpanFacts]:
        """Spans of other traces that speak of a trace, newest first."""
        asked = (
            select(spans.c.raw, spans.c.offset_ns, origins)
            .join_from(links, spans, (spans.c.trace == links.c.trace) & (spans.c.span == links.c.span))
            .join(origins, origins.c.id == spans.c.origin)
            .where(links.c.linked_trace == trace)
            .order_by(links.c.id.desc())
            .limit(MAX_LATER)
        )
        return [_facts(row) for row in self.database.read(lambda connection: connection.execute(asked).all())]

    def after(self, cursor: int, most: int, most_bytes: int) -> list[Kept]:
        """The next spans behind an id; the first even if it is larger than asked."""
        asked = (
            select(spans.c.id.label("number"), spans.c.raw, origins)
            .join(origins, origins.c.id == spans.c.origin)
            .where(spans.c.id > cursor)
            .order_by(spans.c.id)
            .limit(most)
        )
        found: list[Kept] = []
        total = 0
        for row in self.database.read(lambda connection: connection.execute(asked).all()):
            total += len(row.raw)
            if found and total > most_bytes:
                break
            found.append(Kept(row.number, _origin(row), row.raw))
        return found

    def begin(self, name: str) -> int:
        """How far somebody came; who is new begins with what comes from now on, and others' notes go."""

        def run(connection: Connection) -> int:
            connection.execute(cursors.delete().where(cursors.c.name.like("forward:%"), cursors.c.name != name))
            found = connection.scalar(select(cursors.c.id).where(cursors.c.name == name))
            if found is None:
                found = connection.scalar(select(func.max(spans.c.id))) or 0
                connection.execute(cursors.insert().values(name=name, id=found, lost=0))
            return int(found)

        return self.database.write(run)

    def reached(self, name: str) -> int:
        """How far somebody came who has begun; 0 for others."""
        asked = select(cursors.c.id).where(cursors.c.name == name)
        return int(self.database.read(lambda connection: connection.scalar(asked)) or 0)

    def came_to(self, name: str, number: int) -> None:
        """Notes how far somebody came, also who has not begun here, as another database is in the place of his."""
        moved = cursors.update().where(cursors.c.name == name, cursors.c.id < number).values(id=number)

        def run(connection: Connection) -> None:
            if not connection.execute(moved).rowcount:
                known = connection.scalar(select(cursors.c.id).where(cursors.c.name == name))
                if known is None:
                    connection.execute(cursors.insert().values(name=name, id=number, lost=0))

        self.database.write(run)

    def waiting(self, name: str) -> tuple[int, int]:
        """How many spans are still before somebody, and how many went before their turn."""

        def run(connection: Connection) -> tuple[int, int]:
            found = connection.execute(select(cursors.c.id, cursors.c.lost).where(cursors.c.name == name)).first()
            if found is None:
                return 0, 0
            behind = select(func.count()).select_from(spans).where(spans.c.id > found.id)
            return int(connection.scalar(behind) or 0), int(found.lost)

        return self.database.read(run)

    def senders(self, since_ns: int = 0) -> frozenset[str]:
        """The ids of agents and others whose spans came since then, as far as they are told: to some seconds."""
        asked = select(origins.c.resource, origins.c.scope, origins.c.resource_url, origins.c.scope_url)
        found = self.database.read(
            lambda connection: connection.execute(asked.where(origins.c.seen_ns >= since_ns)).all()
        )
        return frozenset(whose(_origin(row))[1] for row in found) - {""}

    def extent(self) -> tuple[int, int]:
        """How many bytes there are, and when the oldest came, 0 without any: what is quickly told of `standing`."""
        oldest = select(spans.c.received_ns).order_by(spans.c.id).limit(1)
        return self.database.read(lambda connection: (size_of(connection), int(connection.scalar(oldest) or 0)))

    def standing(self) -> Standing:
        """How much there is."""

        def run(connection: Connection) -> Standing:
            number = int(connection.scalar(select(func.count()).select_from(spans)) or 0)
            oldest = connection.scalar(select(spans.c.received_ns).order_by(spans.c.id).limit(1))
            return Standing(number, size_of(connection), int(oldest or 0))

        return self.database.read(run)

    def _of_trace(self, trace: bytes) -> list[Any]:
        asked = (
            select(spans.c.raw, spans.c.offset_ns, origins)
            .join(origins, origins.c.id == spans.c.origin)
            .where(spans.c.trace == trace)
            .order_by(spans.c.start_ns + spans.c.offset_ns, spans.c.id)
            .limit(MAX_SPANS)
        )
        found: list[Any] = []

        def run(connection: Connection) -> None:
            found.clear()
            total = 0
            for row in connection.execute(asked):
                total += len(row.raw)
                if total > MAX_TRACE_BYTES:
                    return
                found.append(row)

        self.database.read(run)
        return found


def size_of(connection: Connection) -> int:
    """Bytes that the spans take, without what is free again; PostgreSQL knows that only roughly."""
    if connection.dialect.name == "sqlite":
        pages, free, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size
    asked = text(
        "SELECT COALESCE(SUM(pg_total_relation_size(relid) * n_live_tup / GREATEST(n_live_tup + n_dead_tup, 1)), 0)"
        " FROM pg_stat_user_tables WHERE relname IN ('spans', 'hops', 'kinds', 'links', 'origins')"
    )
    return int(connection.scalar(asked) or 0)


def _note(connection: Connection, due: dict[str, Origin], now_ns: int) -> dict[str, int]:
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    numbers = {}
    for digest, origin in due.items():
        made = dialect.insert(origins).values(digest=digest, seen_ns=now_ns, **origin._asdict())
        once = made.on_conflict_do_update(index_elements=["digest"], set_={"seen_ns": now_ns})
        numbers[digest] = int(connection.execute(once.returning(origins.c.id)).scalar_one())
    return numbers


def _insert(table: str, fields: Sequence[str], marker: str) -> str:
    columns = ", ".join(f'"{name}"' for name in fields)
    values = ", ".join([marker] * len(fields))
    return f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own names


def _origin(row: Any) -> Origin:
    return Origin(bytes(row.resource), bytes(row.scope), row.resource_url, row.scope_url)


def _facts(row: Any) -> SpanFacts:
    return facts_of(bytes(row.raw), whose(_origin(row)), row.offset_ns, whole=True)
