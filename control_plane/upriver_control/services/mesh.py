"""MeshService: operators see who asks whom how much, now and over time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from upriver.errors import DiskTrouble, InvalidInput, QueueFull, Unreachable
from upriver.v1 import mesh_pb2 as pb
from upriver_control.fleet import in_sync, slots
from upriver_control.history.recent import Recent
from upriver_control.intent import Intent
from upriver_control.observed import AgentFacts
from upriver_control.selector import Selector, parse
from upriver_control.services.mesh_wire import (
    ladder,
    now_of,
    read_span,
    write_agent,
    write_edges,
    write_rate,
)
from upriver_control.services.refusals import Context, refusing, refusing_stream
from upriver_control.spans.looking import Edge
from upriver_control.spans.rates import MAX_RATES, RateTable
from upriver_control.spans.store import SpanStore

MAX_WATCHERS: Final = 64
QUIET_S: Final = 3.0
_LEAST_S, _MOST_S, _USUAL_S = 0.5, 60.0, 1.0
_INLINE: Final = 200
"""Agents that are written on the event loop; more are on a thread."""
_EDGES_NS: Final = 60 * 10**9
_SENDS_NS: Final = 600 * 10**9
_PART: Final = 0.1
"""Of the time that reading edges may take."""


class Edges:
    """Who asked whom within the last minute, read for all who look: as often as takes a tenth of the time at most."""

    def __init__(self, store: SpanStore, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """`clock_ns` gives nanoseconds since the epoch."""
        self._store = store
        self._clock_ns = clock_ns
        self._due = float("-inf")
        self._reading = asyncio.Lock()
        self._had: tuple[tuple[Edge, ...], frozenset[str], str] = ((), frozenset(), "")

    async def read(self) -> tuple[tuple[Edge, ...], frozenset[str], str]:
        """Edges, whose spans came within ten minutes, and why both can't be told, empty when they can."""
        loop = asyncio.get_running_loop()
        async with self._reading:
            begun = loop.time()
            if begun >= self._due:
                try:
                    self._had = await asyncio.to_thread(self._read)
                except (Unreachable, DiskTrouble) as error:
                    self._had = (), frozenset(), f"who asks whom and who sends spans, which can't be read: {error}"
                self._due = loop.time() + max(_LEAST_S, (loop.time() - begun) / _PART)
        return self._had

    def _read(self) -> tuple[tuple[Edge, ...], frozenset[str], str]:
        now_ns = self._clock_ns()
        return tuple(self._store.edges(now_ns - _EDGES_NS)), self._store.senders(now_ns - _SENDS_NS), ""


class MeshServicer:
    """Serves operators. `agents` gives all agents and `intent` what they are to run, both on the event loop."""

    def __init__(
        self,
        agents: Callable[[], Mapping[str, AgentFacts]],
        intent: Callable[[], Intent],
        recent: Recent,
        edges: Edges,
        rates: RateTable,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives Unix times."""
        self._agents = agents
        self._intent = intent
        self._recent = recent
        self._edges = edges
        self._rates = rates
        self._clock = clock
        self._watchers = 0

    @refusing_stream
    async def watch_mesh(self, request: pb.WatchMeshRequest, context: Context) -> AsyncIterator[pb.WatchMeshResponse]:
        """Sends the mesh, and again when it has changed."""
        selector, interval_s = parse(request.selector), _interval_s(request)
        if self._watchers >= MAX_WATCHERS:
            raise QueueFull(f"the mesh is watched {MAX_WATCHERS} times here already; try again later")
        self._watchers += 1
        loop = asyncio.get_running_loop()
        try:
            before, told = b"", float("-inf")
            while True:
                message = await self._mesh(selector)
                plain = message.SerializeToString(deterministic=True)
                if plain != before or loop.time() >= told + QUIET_S:
                    before, told = plain, loop.time()
                    message.time.CopyFrom(now_of(self._clock()))
                    yield message
                if request.once:
                    return
                await asyncio.sleep(interval_s)
        finally:
            self._watchers -= 1

    @refusing
    async def list_rates(self, request: pb.ListRatesRequest, context: Context) -> pb.ListRatesResponse:
        """Lists what was counted."""
        first, last, step = read_span(request, self._clock())
        found = await asyncio.to_thread(self._rates.between, first, last, request.model, request.region, step)
        if len(found) >= MAX_RATES:
            raise InvalidInput(
                f"these are {MAX_RATES} rates or more; expected less: a longer step, a shorter time, a model or region"
            )
        return pb.ListRatesResponse(rates=[write_rate(row) for row in found])

    async def _mesh(self, selector: Selector) -> pb.WatchMeshResponse:
        edges, senders, trouble = await self._edges.read()
        found = [facts for _, facts in sorted(self._agents().items()) if selector.matches(facts.labels)]
        intent, now = self._intent(), self._clock()

        def written() -> pb.WatchMeshResponse:
            chosen = {facts.agent for facts in found}
            return pb.WatchMeshResponse(
                agents=[
                    write_agent(
                        facts,
                        self._recent.rates(facts.agent, now),
                        in_sync(slots(facts, intent, now)),
                        facts.agent in senders,
                    )
                    for facts in found
                ],
                edges=write_edges(edge for edge in edges if edge.from_agent in chosen or edge.to_agent in chosen),
                tiers=ladder(found),
                missing=[trouble] if trouble else [],
            )

        return written() if len(found) <= _INLINE else await asyncio.to_thread(written)


def _interval_s(request: pb.WatchMeshRequest) -> float:
    if not request.HasField("interval"):
        return _USUAL_S
    seconds = request.interval.seconds + request.interval.nanos / 1e9
    if not _LEAST_S <= seconds <= _MOST_S:
        raise InvalidInput(f"interval is {seconds:g} s; expected {_LEAST_S} to {_MOST_S:.0f} s")
    return seconds
