"""A database, opened: its schema brought up to date, transactions that outlive a lost connection.

Functions that are given to `read` and `write` may be run more than once, so they must be safe to repeat: a connection
that is lost in the middle of a commit leaves nobody knowing whether it took place.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from upriver.backoff import full_jitter_s
from upriver.errors import ConfigError, DiskTrouble, RuntimeMissing, Unreachable

T = TypeVar("T")

RETRY_S: Final = 6.0
CONNECT_S: Final = 3
"""Together less than the 10 s that commands wait, so that they are told why."""
FIRST_S: Final = 0.05
LONGEST_S: Final = 1.0
_MIGRATING: Final = 0x75707269  # an advisory lock of our own: "upri"
_REPEATABLE: Final = ("40001", "40P01")  # serialization failure, deadlock
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
_DISK: Final = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB")
_ANOTHER: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY_DBMOVED")
"""Whoever looks after it may put another file in its place: it is opened again."""
_NO_TABLE: Final = "no such table"
_WRITES: Final = "upriver_writes"
SCRIPTS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Sqlite:
    """How a file of SQLite's is used. `busy_ms` is how long one waits for another's lock.

    `full` synchronizes at each commit, so that none is lost when the machine goes; without, the last moments may be,
    but never a part of one commit. `pragmas` come first: some hold for a new file only.
    """

    busy_ms: int = 10_000
    connections: int = 10
    full: bool = True
    pragmas: tuple[str, ...] = ()


class Database:
    """Runs functions in transactions. One for a process; used by any thread."""

    def __init__(
        self,
        engine: Engine,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        prepare: Callable[[Connection], None] | None = None,
    ) -> None:
        """`retry_s` bounds how long a transaction is tried again after the connection was lost.

        `prepare` is run once before anything else, in a transaction of its own.
        """
        self.engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        self._retry_s = retry_s
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._prepare = prepare
        self._is_ready = prepare is None
        self._preparing = threading.Lock()
        self.opened = 0
        """How often it was prepared: with each time what is remembered of its contents may be wrong."""

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite's, else PostgreSQL."""
        return self.engine.dialect.name == "sqlite"

    def ready(self) -> None:
        """Prepares it unless that is done; raises as `read` does, and then it is done at the next use."""
        if self._is_ready:
            return
        with self._preparing:
            if not self._is_ready and self._prepare is not None:
                self._run(self._writer, self._prepare)
                self.opened += 1
                self._is_ready = True

    def read(self, function: Callable[[Connection], T]) -> T:
        """Runs a function that only reads; raises Unreachable, and DiskTrouble."""
        self.ready()
        return self._run(self.engine, function)

    def write(self, function: Callable[[Connection], T]) -> T:
        """Runs a function that writes, wholly or not at all; raises as `read` does. SQLite has one writer at a time."""
        self.ready()
        return self._run(self._writer, function)

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    def _run(self, engine: Engine, function: Callable[[Connection], T]) -> T:
        started = self._clock()
        failures = 0
        while True:
            try:
                with engine.begin() as connection:
                    return function(connection)
            except PoolExhausted as error:
                raise Unreachable(f"the database is busy: no connection was free within its time: {error}") from error
            except DBAPIError as error:
                failures += 1
                self._look(error)
                if _name(error).startswith(_DISK) or _NO_TABLE in str(error.orig):
                    raise DiskTrouble(f"the database {self.engine.url.database}: {_first_line(error)}") from error
                if not _may_repeat(error):
                    raise
                wait_s = full_jitter_s(failures, FIRST_S, LONGEST_S, self._chance)
                if self._clock() - started + wait_s > self._retry_s:
                    raise Unreachable(f"the database can't be reached: {_first_line(error)}") from error
            self._sleep(wait_s)

    def _look(self, error: DBAPIError) -> None:
        """Has a file of SQLite's opened again that is damaged, or no longer there: another may be in its place."""
        if self.is_sqlite and (_name(error).startswith(_ANOTHER) or _NO_TABLE in str(error.orig)):
            self._is_ready = self._prepare is None
            self.engine.dispose()


def open_database(
    url: str,
    retry_s: float = RETRY_S,
    scripts: Path = SCRIPTS,
    settings: Sqlite | None = None,
    late: bool = False,
) -> Database:
    """Opens a database and brings its schema up to date by the Alembic scripts in a folder.

    `url` is `sqlite:///PATH` or `postgresql+psycopg://...`; `settings` are the first's, but for `connections`. With
    `late` the schema is brought up to date at the first use, so that a database that is not there now does not keep
    anybody from starting. Raises ConfigError for another URL, RuntimeMissing when its driver is not installed,
    Unreachable and DiskTrouble.
    """
    database = Database(_engine(url, settings or Sqlite()), retry_s, prepare=partial(_migrate, scripts))
    if late:
        return database
    try:
        database.ready()
    except BaseException:
        database.close()
        raise
    return database


def _engine(url: str, settings: Sqlite) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
            return _sqlite(url, parsed.database, settings)
        if parsed.drivername == "postgresql+psycopg":
            return create_engine(
                url,
                pool_pre_ping=True,
                pool_size=settings.connections,
                max_overflow=0,
                pool_timeout=RETRY_S,
                connect_args={
                    "connect_timeout": CONNECT_S,
                    "options": "-c statement_timeout=30000 -c lock_timeout=15000",
                    # A machine that vanished is noticed within these ms, and not after TCP's quarter of an hour.
                    "tcp_user_timeout": 1000 * CONNECT_S,
                    "keepalives_idle": CONNECT_S,
                    "keepalives_interval": 1,
                    "keepalives_count": 3,
                },
            )
    except ModuleNotFoundError as error:
        raise RuntimeMissing(
            f"{error.name} is not installed; PostgreSQL needs: pip install 'upriver[postgresql]'"
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError("configuration", [f"database: {error}"]) from error
    raise ConfigError("configuration", [f"database {_shown(url)}: expected sqlite:///PATH or postgresql+psycopg://..."])


def _sqlite(url: str, path: str | None, settings: Sqlite) -> Engine:
    if not path or path == ":memory:":
        raise ConfigError("configuration", ["database: SQLite is kept in a file; expected sqlite:///PATH"])
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskTrouble(f"can't make the folder of the database {path}: {error.strerror}") from error
    engine = create_engine(
        url, connect_args={"timeout": settings.busy_ms / 1000}, pool_size=settings.connections, max_overflow=0
    )
    synchronous = "FULL" if settings.full else "NORMAL"
    pragmas = (
        f"busy_timeout={settings.busy_ms}",
        *settings.pragmas,
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "foreign_keys=ON",
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late; see _begin
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        for pragma in pragmas:
            if pages and pragma.startswith("auto_vacuum"):
                continue  # it holds for a new file only, and would wait for whoever writes
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its place at once: one that reads first and then writes could find its place taken.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _migrate(scripts: Path, connection: Connection) -> None:
    """Alembic's upgrade in this transaction, one process at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATING})
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _may_repeat(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return _name(error).startswith(_BUSY)
    if getattr(error.orig, "sqlstate", None) in _REPEATABLE:
        return True
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def _name(error: DBAPIError) -> str:
    """SQLite's own name of an error; empty for another database's."""
    return getattr(error.orig, "sqlite_errorname", "")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
