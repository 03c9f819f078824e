"""How the store of spans is: what it holds, what came, what goes on to others, and whose spans never came."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from upriver.errors import DiskTrouble, Unreachable
from upriver.v1 import question_pb2 as pb
from upriver_control.observed import AgentFacts
from upriver_control.services.question_wire import timestamp
from upriver_control.spans.forwarding import Forwarding
from upriver_control.spans.intake import Intake
from upriver_control.spans.store import SpanStore, Standing

MAX_SILENT: Final = 100
_AGAIN_S: Final = 1.0
"""How old figures may be: counting a million spans takes a while, and many may look."""


@dataclass(slots=True)
class SpanStanding:
    """Reads figures. `agents` gives all agents, on the event loop; `sweep_trouble` why what is old can't go now."""

    store: SpanStore
    intake: Intake
    forwarding: Forwarding | None
    forward: str
    max_bytes: int
    agents: Callable[[], Mapping[str, AgentFacts]]
    sweep_trouble: Callable[[], str] = str
    steady: Callable[[], float] = time.monotonic
    _read_at: float = field(default=float("-inf"), init=False)
    _unread: str = field(default="", init=False)
    _had: pb.GetSpanStoreResponse = field(default_factory=pb.GetSpanStoreResponse, init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def get(self) -> pb.GetSpanStoreResponse:
        """All of it. While the database can't be read its figures are the last known, and `trouble` says so."""
        async with self._reading:
            if self.steady() >= self._read_at + _AGAIN_S:
                self._unread = await self._read()
                self._read_at = self.steady()
        response = pb.GetSpanStoreResponse()
        response.CopyFrom(self._had)
        counts = self.intake.counts
        response.received, response.duplicates = counts.received, counts.duplicates
        response.rejected, response.refused = counts.rejected, counts.refused
        response.max_bytes, response.forward = self.max_bytes, self.forward
        response.trouble = self.intake.trouble or self._unread or self.sweep_trouble()
        return response

    async def _read(self) -> str:
        """Reads figures anew; gives why they can't be read."""
        agents = self.agents()
        try:
            standing, senders = await asyncio.to_thread(self._of_database)
            forwarded = await self.forwarding.standing() if self.forwarding is not None else None
        except (Unreachable, DiskTrouble) as error:
            return f"it can't be read: {error}"
        silent = [agent for agent, facts in sorted(agents.items()) if _has_asked(facts) and agent not in senders]
        self._had = pb.GetSpanStoreResponse(
            spans=standing.spans,
            bytes=standing.bytes,
            oldest_time=timestamp(standing.oldest_ns) if standing.oldest_ns else None,
            forward_lag=forwarded.waiting if forwarded is not None else 0,
            forward_lost=forwarded.lost if forwarded is not None else 0,
            silent_agents=silent[:MAX_SILENT],
        )
        return ""

    def _of_database(self) -> tuple[Standing, frozenset[str]]:
        return self.store.standing(), self.store.senders()


def _has_asked(facts: AgentFacts) -> bool:
    """Whether an agent is connected and has answered anything that there could be spans of."""
    return facts.connected and any(slot.counters.rows for slot in facts.slots.values())
