"""A real PostgreSQL for the tests: made in a temporary folder, on a free port of 127.0.0.1, ended by pid."""

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

START_S = 60.0
UNPRIVILEGED = ("postgres", "nobody")


class PostgresMissing(Exception):
    """There is no PostgreSQL server on this machine."""


class PostgresProcess:
    """One server with one empty database. Root can't run it, so root has an unprivileged user do it."""

    def __init__(self) -> None:
        self._programs = {name: _program(name) for name in ("initdb", "postgres")}
        self._user = _unprivileged() if os.getuid() == 0 else None
        # Not below pytest's own folder, which only its owner may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="upriver-postgres-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    @property
    def url(self) -> str:
        """The database `postgres`, as SQLAlchemy has it."""
        return self.url_of("postgres")

    @property
    def pid(self) -> int:
        """The process that all others of the server are children of."""
        assert self._process is not None
        return self._process.pid

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://upriver@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Makes an empty database and gives its URL."""
        self._made += 1
        name = f"test_{self._made}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def initialise(self) -> None:
        command = [self._programs["initdb"], "-D", self._data, "-U", "upriver", "--auth=trust", "-E", "UTF8", "-N"]
        done = subprocess.run(command, user=self._user, cwd="/", capture_output=True, timeout=START_S, check=False)
        if done.returncode:
            raise AssertionError(f"initdb failed: {done.stderr.decode('utf-8', 'replace')}")

    def start(self) -> None:
        """Starts the server and waits until it takes connections."""
        deadline = time.monotonic() + START_S
        self._launch()
        while True:
            if self._process.poll() is not None:
                # After SIGKILL its children hold the shared memory for a moment longer.
                if time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL did not start:\n{self.log()}")
                self._launch()
            try:
                psycopg.connect(self._conninfo(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL takes no connections:\n{self.log()}") from None
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue

    def stop(self) -> None:
        """Ends it as an administrator would in a hurry: connections are cut, nothing is lost."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_S)

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(START_S)

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=upriver dbname=postgres"

    def _launch(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off",
                    "max_connections": 60}  # fmt: skip
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [self._programs["postgres"], "-D", self._data, *options],
                user=self._user,
                cwd="/",
                stdout=out,
                stderr=subprocess.STDOUT,
            )


@contextmanager
def real_postgres() -> Iterator[PostgresProcess]:
    """A PostgreSQL that runs; skips where none is to be had, and fails instead where UPRIVER_REQUIRE_REAL=1."""
    try:
        process = PostgresProcess()
    except PostgresMissing as missing:
        (pytest.fail if os.environ.get("UPRIVER_REQUIRE_REAL") == "1" else pytest.skip)(str(missing))
    try:
        process.initialise()
        process.start()
        yield process
    finally:
        process.remove()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is not None:
        return found
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    if not installed:
        raise PostgresMissing(f"no {name} on PATH or in /usr/lib/postgresql: install Debian's package postgresql")
    return str(installed[-1])


def _unprivileged() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in UNPRIVILEGED:
        if name in known:
            return name
    raise PostgresMissing(f"{getpass.getuser()} can't run PostgreSQL, and there is no user {' or '.join(UNPRIVILEGED)}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
