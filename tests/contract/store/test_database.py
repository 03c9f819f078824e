"""A database: its schema, its transactions, and what happens when it goes away."""

import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text

from upriver.errors import ConfigError, DiskTrouble, Unreachable
from upriver_control.store.database import Database, open_database
from upriver_control.store.registry import RegistryStore
from upriver_control.store.schema import metadata, models


def test_the_migrations_make_the_tables_that_the_program_expects(database):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    assert database.read(differences) == []


def test_opening_again_keeps_what_is_there(database_url, database):
    RegistryStore(database).create_model("digits", "", 1.0)
    again = open_database(database_url)
    assert [model.id for model in RegistryStore(again).models("", 9)] == ["digits"]
    again.close()


def test_a_write_that_fails_leaves_nothing(database):
    def half(connection):
        connection.execute(insert(models).values(id="digits", description="", created=1.0))
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        database.write(half)
    assert RegistryStore(database).models("", 9) == []


def test_what_is_written_at_once_is_all_written(database):
    def count(_: int) -> None:
        def add(connection):
            found = connection.scalar(select(models.c.description).where(models.c.id == "m"))
            connection.execute(models.update().where(models.c.id == "m").values(description=str(int(found) + 1)))

        def alone(connection):
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
            add(connection)

        for _ in range(10):
            database.write(alone)

    RegistryStore(database).create_model("m", "0", 1.0)
    threads = [threading.Thread(target=count, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert RegistryStore(database).model("m").description == "60"


@pytest.mark.real_postgresql
def test_a_restart_of_postgresql_is_survived(postgres):
    database = open_database(postgres.new_database())
    store = RegistryStore(database)
    for index, end in enumerate((postgres.stop, postgres.kill)):
        store.create_model(f"before-{index}", "", 1.0)
        end()
        back = threading.Timer(0.3, postgres.start)
        back.start()
        try:
            store.create_model(f"after-{index}", "", 2.0)
            assert len(store.models("", 99)) == 2 * (index + 1)
        finally:
            back.join()
    database.close()


@pytest.mark.real_postgresql
def test_a_postgresql_that_stays_away_is_told_within_bounds(postgres):
    url = postgres.new_database()
    opened = open_database(url)
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    database = Database(opened.engine, retry_s=5.0, clock=lambda: now, sleep=sleep, chance=lambda: 0.9)
    postgres.stop()
    try:
        with pytest.raises(Unreachable, match="can't be reached"):
            RegistryStore(database).models("", 9)
        assert 3.0 < now <= 5.0
    finally:
        postgres.start()
    assert RegistryStore(database).models("", 9) == []
    opened.close()


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql+asyncpg://x"]
)
def test_a_url_of_another_kind_is_refused(url):
    with pytest.raises(ConfigError):
        open_database(url)


def test_a_password_is_not_shown():
    with pytest.raises(ConfigError) as told:
        open_database("mysql+pymysql://me:hunter2@host/db")
    assert "hunter2" not in str(told.value)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "control.db").write_bytes(b"x" * 5000)
    with pytest.raises(DiskTrouble, match="file is not a database"):
        open_database(f"sqlite:///{tmp_path}/control.db")


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    store = RegistryStore(database)
    store.create_model("kept", "", 1.0)

    def fill(connection):
        connection.execute(text("PRAGMA max_page_count = 1"))
        connection.execute(insert(models).values(id="large", description="x" * 10_000_000, created=1.0))

    with pytest.raises(DiskTrouble, match="full"):
        database.write(fill)
    assert [model.id for model in store.models("", 9)] == ["kept"]
    database.close()


def test_a_lock_that_is_held_too_long_is_told_within_bounds(tmp_path):
    path = tmp_path / "control.db"
    opened = open_database(f"sqlite:///{path}")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    ticks = iter(float(tick) for tick in range(0, 1000, 100))

    def impatient(connection):
        return RegistryStore(database).create_model("digits", "", 1.0)

    with opened.engine.connect() as connection:
        connection.connection.execute("PRAGMA busy_timeout=1")
    database = Database(opened.engine, retry_s=5.0, clock=lambda: next(ticks), sleep=lambda seconds: None)
    with pytest.raises(Unreachable, match="locked"):
        impatient(None)
    holder.execute("ROLLBACK")
    opened.close()
