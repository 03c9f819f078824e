"""A journal's file: opened, checked, brought to its newest version, and set aside when it is damaged."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from upriver.errors import DiskTrouble

DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
OWN_FAULT: Final = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE)
"""Errors of one write alone; any other is the disk's and fails all that share the transaction."""
_LOG_BYTES: Final = 4 << 20
"""What stays of SQLite's log after a large transaction was written back into the file."""
_BUSY_S: Final = 2.0


class Damaged(Exception):
    """A file that can't be used as it is."""


def open_file(path: Path, schema: Sequence[Sequence[str]], durable: bool, check: bool) -> sqlite3.Connection:
    """Opens a file for writing, making it when there is none; `check` has all of it looked at.

    Raises Damaged, sqlite3.Error or OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # what is in it is nobody else's business
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        found = connection.execute("PRAGMA quick_check(1)").fetchone() if check else ("ok",)
        if found != ("ok",):
            raise Damaged(f"it does not pass SQLite's check: {found}")
        _bring_up(connection, schema)
        if check and _shape(connection) != _shape_of(schema):
            raise Damaged("its tables are not those of its version")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Opens a file that is there, for reading alone. Raises sqlite3.Error."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def put_aside(path: Path) -> Path:
    """Renames a damaged file, and gives its new name. One is kept, the latest, for whoever wants to look into it."""
    aside = path.with_name(f"{path.name}.damaged")
    for ending in ("", "-wal"):
        with suppress(FileNotFoundError):
            Path(f"{aside}{ending}").unlink()
        with suppress(FileNotFoundError):
            Path(f"{path}{ending}").replace(f"{aside}{ending}")
    with suppress(FileNotFoundError):
        Path(f"{path}-shm").unlink()
    return aside


def trouble(path: Path, error: Exception) -> DiskTrouble:
    """What to tell of an error of a file."""
    if isinstance(error, sqlite3.Error):
        return DiskTrouble(f"can't use {path}: {error} ({getattr(error, 'sqlite_errorname', 'no code')})")
    told = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return DiskTrouble(f"can't use {path}: {told}")


def code(error: Exception) -> int:
    """SQLite's primary result code of an error."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def close(connection: sqlite3.Connection | None) -> None:
    """Closes a connection, whatever its state."""
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",  # makes no file: who reads must not, and who writes has made one
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    connection.execute("PRAGMA cache_size = -512")  # KiB: a device has little memory
    return connection


def _bring_up(connection: sqlite3.Connection, schema: Sequence[Sequence[str]]) -> None:
    """Brings a file to the newest version; raises Damaged when it is not one of ours."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= len(schema):
        raise Damaged(f"it is of version {version}; expected at most {len(schema)}")
    if version < len(schema):
        connection.execute("BEGIN IMMEDIATE")
        for statements in schema[version:]:
            for statement in statements:
                try:
                    connection.execute(statement)
                except sqlite3.Error as error:
                    if code(error) not in OWN_FAULT:
                        raise
                    raise Damaged(f"it can't be brought to version {len(schema)}: {error}") from error
        connection.execute(f"PRAGMA user_version = {len(schema)}")
        connection.execute("COMMIT")


def _shape_of(schema: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statements in schema:
            for statement in statements:
                connection.execute(statement)
        return _shape(connection)
    finally:
        connection.close()


def _shape(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
