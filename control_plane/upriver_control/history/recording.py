"""Writes what agents of this process count into the table of rates, every few seconds.

What can't be written is written later: counters only rise, so the next report says it too.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from upriver.errors import DiskTrouble, Unreachable
from upriver_control.history.recent import Recent
from upriver_control.observed import AgentFacts
from upriver_control.spans.counting import Observed
from upriver_control.spans.rates import RateTable

_LOG = logging.getLogger(__name__)
EVERY_S: Final = 10.0
_MOST: Final = 1_000_000
_Key = tuple[str, str, str, str]


class History:
    """Takes in reports and records them; made and used on one event loop."""

    def __init__(
        self, table: RateTable, agents: Callable[[], Mapping[str, object]], clock: Callable[[], float] = time.time
    ) -> None:
        """`agents` gives all agents: others are forgotten. `clock` gives Unix times."""
        self.recent = Recent()
        self._table = table
        self._agents = agents
        self._clock = clock
        self._pending: dict[_Key, Observed] = {}
        self._trouble = ""

    def heard(self, facts: AgentFacts, here: bool) -> None:
        """Takes in what an agent reports; what came to another process, and not `here`, is recorded by that one."""
        told = self.recent.heard(facts, facts.last_seen)
        if here:
            for one in told:
                key = one.agent, one.model, one.boot, one.version
                if key in self._pending or len(self._pending) < _MOST:
                    self._pending[key] = one

    async def run(self, every_s: float = EVERY_S) -> None:
        """Records until it is cancelled, and then what is left."""
        try:
            while True:
                await asyncio.sleep(every_s)
                await self.once()
        finally:
            await self.once()

    async def once(self) -> None:
        """Records what came since the last time."""
        self.recent.forget(self._agents())
        pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            await asyncio.to_thread(self._table.count, pending.values(), int(self._clock() // 60))
        except (Unreachable, DiskTrouble) as error:
            self._pending = pending | self._pending
            self._tell(str(error))
            return
        self._tell("")

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _LOG.warning("rates are not recorded, but kept in mind: %s", trouble)
        elif self._trouble and not trouble:
            _LOG.info("rates are recorded again")
        self._trouble = trouble
