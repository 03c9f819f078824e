"""Every test of a store runs on SQLite and on a real PostgreSQL."""

import pytest

from tests.postgres_process import real_postgres
from upriver_control.store.database import open_database


@pytest.fixture(scope="session")
def postgres():
    with real_postgres() as process:
        yield process


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real_postgresql)])
def database_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def database(database_url):
    opened = open_database(database_url)
    yield opened
    opened.close()
