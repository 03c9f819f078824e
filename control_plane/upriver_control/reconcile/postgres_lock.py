"""The leader lock in PostgreSQL: a session-level advisory lock on a connection of its own.

The lock lives as long as the connection: when it breaks, the server gives the lock to the next, and `held` says so
here. A leader that the database has lost sight of can't write to it either.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from upriver.errors import RuntimeMissing, Unreachable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

KEY: Final = 0x7570726976657201
"""The lock's number among the database's advisory locks."""
CALL_S: Final = 5.0
# How the server notices that a leader's machine is gone: after 5 s and 3 times 2 s.
_SERVER = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"


class PostgresLock:
    """Exclusive among all processes on one database. `url` may be SQLAlchemy's."""

    def __init__(self, url: str, key: int = KEY) -> None:
        """Raises RuntimeMissing when there is no psycopg."""
        try:
            import psycopg  # optional: only a control plane over PostgreSQL has it
        except ModuleNotFoundError as error:
            raise RuntimeMissing(
                f"{error.name} is not installed; PostgreSQL needs: pip install 'upriver[postgresql]'"
            ) from error
        self._psycopg = psycopg
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._key = key
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> bool:
        """Tries to take it; raises Unreachable."""
        if self._connection is not None:
            return await self.held()
        try:
            async with asyncio.timeout(2 * CALL_S):
                connection = await self._psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=int(CALL_S), options=_SERVER, application_name="upriver"
                )
        except (self._psycopg.Error, TimeoutError) as error:
            raise Unreachable(f"leader lock: PostgreSQL can't be reached: {_first_line(error)}") from error
        try:
            taken = await self._ask(connection, "SELECT pg_try_advisory_lock(%s)", (self._key,))
        except (self._psycopg.Error, TimeoutError) as error:
            await connection.close()
            raise Unreachable(f"leader lock: PostgreSQL can't be reached: {_first_line(error)}") from error
        if taken:
            self._connection = connection
        else:
            await connection.close()
        return taken

    async def held(self) -> bool:
        """Whether the connection that holds it is alive."""
        if self._connection is None:
            return False
        try:
            return await self._ask(self._connection, "SELECT true")
        except (self._psycopg.Error, TimeoutError):
            await self.release()
            return False

    async def release(self) -> None:
        """Gives it back by closing the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _ask(self, connection: "AsyncConnection", query: str, values: tuple[int, ...] = ()) -> bool:
        async with asyncio.timeout(CALL_S):
            row = await (await connection.execute(query.encode(), values)).fetchone()
        return bool(row and row[0])


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
