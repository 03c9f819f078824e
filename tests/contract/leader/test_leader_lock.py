"""What every leader lock promises: a file's, a real PostgreSQL's, a real Consul's."""

import asyncio
import contextlib
import subprocess
import sys

import httpx
import psycopg
import pytest

from tests.consul_process import real_consul
from tests.postgres_process import real_postgres
from upriver.errors import DiskTrouble, Unreachable
from upriver_control.reconcile.consul_lock import KEY, ConsulLock
from upriver_control.reconcile.file_lock import FileLock
from upriver_control.reconcile.postgres_lock import PostgresLock

GIVEN_ON_S = 60.0


class FileCase:
    def __init__(self, folder):
        self.path = folder / "state" / "leader.lock"

    def lock(self):
        return FileLock(self.path)

    def lose(self):
        """Somebody tidies up the state folder."""
        self.path.unlink()

    def unreachable(self):
        self.path.parent.mkdir()
        self.path.mkdir()
        return FileLock(self.path)


class PostgresCase:
    def __init__(self, process):
        self.process, self.url = process, process.new_database()

    def lock(self):
        return PostgresLock(self.url)

    def lose(self):
        """The server ends the connection, as a restart does."""
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def unreachable(self):
        return PostgresLock("postgresql+psycopg://upriver@127.0.0.1:1/postgres")


class ConsulCase:
    def __init__(self, process):
        self.address = process.address
        self.time = [0.0]

    def lock(self):
        return ConsulLock(self.address, steady=lambda: self.time[0])

    def lose(self):
        """Consul ends the session, as it does when the holder was not heard of for its time to live."""
        session = httpx.get(f"{self.address}/v1/kv/{KEY}").json()[0]["Session"]
        httpx.put(f"{self.address}/v1/session/destroy/{session}").raise_for_status()
        self.time[0] += 5.0

    def unreachable(self):
        return ConsulLock("http://127.0.0.1:1")


@pytest.fixture(scope="module")
def postgres():
    with real_postgres() as process:
        yield process


@pytest.fixture(scope="module")
def consul(tmp_path_factory):
    with real_consul(tmp_path_factory.mktemp("consul")) as process:
        yield process


@pytest.fixture(
    params=[
        "file",
        pytest.param("postgresql", marks=pytest.mark.real_postgresql),
        pytest.param("consul", marks=pytest.mark.real_consul),
    ]
)
def case(request, tmp_path):
    match request.param:
        case "file":
            return FileCase(tmp_path)
        case "postgresql":
            return PostgresCase(request.getfixturevalue("postgres"))
        case _:
            return ConsulCase(request.getfixturevalue("consul"))


async def taken(lock):
    """Takes the lock as soon as it is given on; Consul waits a second after a holder was lost.

    Right after its start Consul refuses sessions until its own node is registered.
    """
    async with asyncio.timeout(GIVEN_ON_S):
        while True:
            with contextlib.suppress(Unreachable):
                if await lock.acquire():
                    return
            await asyncio.sleep(0.1)


async def closed(*locks):
    for lock in locks:
        await (lock.close() if isinstance(lock, ConsulLock) else lock.release())


def test_one_holds_it_at_a_time(case):
    async def run():
        first, second = case.lock(), case.lock()
        await taken(first)
        assert await first.held()
        assert await first.acquire()
        assert not await second.acquire()
        assert not await second.held()
        await first.release()
        assert not await first.held()
        await taken(second)
        assert not await first.acquire()
        assert await second.held()
        await closed(first, second)

    asyncio.run(run())


def test_of_many_that_ask_at_once_one_gets_it(case):
    async def run():
        locks = [case.lock() for _ in range(8)]
        await taken(locks[0])
        await locks[0].release()
        async with asyncio.timeout(GIVEN_ON_S):
            while not any(got := [await lock.acquire() for lock in locks]):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)
        assert sum(got) == 1
        assert [await lock.held() for lock in locks] == got
        await closed(*locks)

    asyncio.run(run())


def test_a_holder_that_lost_it_knows_and_the_next_gets_it(case):
    async def run():
        first, second = case.lock(), case.lock()
        await taken(first)
        case.lose()
        assert not await first.held()
        await taken(second)
        assert not await first.acquire()
        await closed(first, second)

    asyncio.run(run())


def test_it_is_taken_again_after_it_was_lost(case):
    async def run():
        lock = case.lock()
        await taken(lock)
        case.lose()
        assert not await lock.held()
        await taken(lock)
        assert await lock.held()
        await closed(lock)

    asyncio.run(run())


def test_what_can_not_be_asked_is_an_error_and_nobody_leads(case):
    async def run():
        lock = case.unreachable()
        with pytest.raises((Unreachable, DiskTrouble), match="leader lock"):
            await lock.acquire()
        assert not await lock.held()
        await closed(lock)

    asyncio.run(run())


@pytest.mark.real_postgresql
def test_a_restart_of_postgresql_costs_the_lock_and_it_can_be_taken_again(postgres):
    async def run():
        lock = PostgresLock(postgres.new_database())
        await taken(lock)
        await asyncio.to_thread(postgres.restart)
        assert not await lock.held()
        await taken(lock)
        await lock.release()

    asyncio.run(run())


@pytest.mark.real_consul
def test_a_consul_lock_that_is_renewed_in_time_stays(consul):
    time = [0.0]

    async def run():
        first = ConsulLock(consul.address, key="another/key", steady=lambda: time[0])
        second = ConsulLock(consul.address, key="another/key", steady=lambda: time[0])
        await taken(first)
        for _ in range(10):
            time[0] += 4.0
            assert await first.held()
            assert not await second.acquire()
        await closed(first, second)

    asyncio.run(run())


HOLDER = """
import asyncio, sys
from pathlib import Path
from upriver_control.reconcile.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print(asyncio.run(lock.acquire()), flush=True)
sys.stdin.read()
"""


def test_the_kernel_gives_a_dead_process_s_lock_to_the_next(tmp_path):
    path = tmp_path / "leader.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "True\n"
            assert not asyncio.run(FileLock(path).acquire())
        finally:
            holder.kill()
    assert asyncio.run(FileLock(path).acquire())
