"""One connected agent: what it was sent, what it took in, and what waits to be sent.

Nothing is queued but the fact that something has changed: what is sent is made when it is sent, so a slow agent gets
the newest world and never the ones between.
"""

import asyncio
from dataclasses import replace
from enum import StrEnum

from upriver.v1 import sync_pb2 as pb
from upriver_control.observed import AgentFacts


class Kind(StrEnum):
    """What is sent to agents; what comes first here is sent first."""

    ASSIGNMENTS = "assignments"
    UPSTREAMS = "upstreams"
    TRIALS = "trials"
    DIRECTIONS = "directions"


_IN_ORDER = tuple(Kind)


class Session:
    """An agent's stream in this process."""

    __slots__ = ("_nonces", "_wake", "acked", "ended", "facts", "interval_s", "pending", "refused", "sent", "told_at")

    def __init__(self, facts: AgentFacts, has: dict[str, str], interval_s: float) -> None:
        """`has` are the resource versions that the agent says it took in before.

        `interval_s` is the rhythm that the agent reports at, `told_at` when the other processes were last told
        of it.
        """
        self.facts = facts
        self.sent = dict(has)
        self.acked = dict(has)
        self.refused: dict[str, str] = {}
        self.interval_s = interval_s
        self.told_at = 0.0
        self.pending: set[Kind] = set()
        self.ended = False
        self._nonces = 0
        self._wake = asyncio.Event()

    def wants(self, kind: Kind) -> None:
        """Something of this kind has changed."""
        self.pending.add(kind)
        self._wake.set()

    async def due(self) -> Kind | None:
        """Waits for the next kind to be sent; None when the session has ended."""
        while not self.pending and not self.ended:
            self._wake.clear()
            await self._wake.wait()
        if self.ended:
            return None
        kind = next(kind for kind in _IN_ORDER if kind in self.pending)
        self.pending.discard(kind)
        return kind

    def end(self) -> None:
        """Ends the stream: the agent has gone, or connected anew."""
        self.ended = True
        self._wake.set()

    def response(self, kind: Kind, version: str) -> pb.SyncResponse:
        """Begins a response, and notes what is sent."""
        self._nonces += 1
        self.sent[kind] = version
        return pb.SyncResponse(nonce=f"{self._nonces}.{kind}.{version}", resource_version=version)

    def acknowledged(self, nonce: str, refusal: str) -> bool:
        """Takes in an answer to a response; False when the nonce is none of this stream's."""
        number, _, rest = nonce.partition(".")
        kind, _, version = rest.partition(".")
        if not number.isdecimal() or not 0 < int(number) <= self._nonces or kind not in list(Kind):
            return False
        if refusal:
            self.refused[kind] = refusal
        else:
            self.acked[kind] = version
            self.refused.pop(kind, None)
        told = self.refused.get(Kind.ASSIGNMENTS, "")
        if told != self.facts.refusal:
            self.facts = replace(self.facts, refusal=told)
        return True
