"""PoolService: the highest agents bring what theirs have learnt."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from upriver.errors import QueueFull
from upriver.pool import Answer
from upriver.pool_wire import Assembly, check_time, write_answer
from upriver.v1 import pool_pb2 as pb
from upriver_control.services.refusals import Context, refusing
from upriver_control.store.pools import PoolTable

AT_ONCE: Final = 16
"""So many submissions are received at once: each may take 32 MiB until it is kept."""
ME: Final = "control-plane"


class PoolServicer:
    """Serves agents."""

    def __init__(self, table: PoolTable, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix times."""
        self._table = table
        self._clock = clock
        self._places = AT_ONCE

    @refusing
    async def submit_pool(
        self, requests: AsyncIterator[pb.SubmitPoolRequest], context: Context
    ) -> pb.SubmitPoolResponse:
        """Takes a child's sums, wholly or not at all."""
        check_time(context.time_remaining())
        if not self._places:
            raise QueueFull(f"{AT_ONCE} agents pool at once, which is all that is taken; expected another try")
        self._places -= 1
        try:
            assembly = Assembly(ME)
            async for message in requests:  # of 3 MiB each, which takes some 10 ms to read: not on the event loop
                await asyncio.to_thread(assembly.take, message)
            return write_answer(await asyncio.to_thread(self._taken, assembly))
        finally:
            self._places += 1

    def _taken(self, assembly: Assembly) -> Answer:
        still = assembly.unchanged()
        if still is not None:
            return self._table.unchanged(*still, self._clock())
        return self._table.submit(assembly.whole(), self._clock())
