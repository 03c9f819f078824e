"""What looks at the mesh, composed: spans that come in, are kept within bounds, and go on to others."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

from opentelemetry.util.re import parse_env_headers

from upriver.errors import DiskTrouble, Unreachable, UpriverError
from upriver_control.calling.asked import Again, Inputs
from upriver_control.history.recording import History
from upriver_control.intent import Intent
from upriver_control.kept import Kept
from upriver_control.metrics import SpanFacts
from upriver_control.observed import AgentFacts
from upriver_control.services.mesh import Edges, MeshServicer
from upriver_control.services.otlp import OtlpServicer
from upriver_control.services.questions import QuestionServicer
from upriver_control.services.span_standing import SpanStanding
from upriver_control.services.trace_views import TraceViews
from upriver_control.spans.following import Following
from upriver_control.spans.forwarding import Forwarding, Receiver
from upriver_control.spans.intake import Intake
from upriver_control.spans.own import OwnSpans
from upriver_control.spans.rates import RateTable
from upriver_control.spans.store import SpanStore
from upriver_control.spans.sweeping import Bounds, Sweeper
from upriver_control.store.audits import AuditTable

_LOG = logging.getLogger(__name__)
SWEEP_S: Final = 10.0
AGAIN_S: Final = 10.0
RATES_NS: Final = 90 * 86_400 * 10**9
"""How long rates are kept: they are small, and what changed last month is asked."""
_MINUTE_NS: Final = 60 * 10**9
_DAY_NS: Final = 86_400 * 10**9


class Watching:
    """Made and used on a running event loop."""

    def __init__(
        self,
        kept: Kept,
        leads: Callable[[], bool],
        agents: Callable[[], Mapping[str, AgentFacts]],
        intent: Callable[[], Intent],
        audits: AuditTable,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`leads` says whether this process is the one that forwards; `environ` has OpenTelemetry's headers.

        `agents` gives all agents, `intent` what they are to run.
        """
        section = kept.config.spans
        self.store = SpanStore(kept.spans)
        self.intake = Intake(self.store)
        self.own = OwnSpans(self.intake, socket.gethostname())
        self.rates = RateTable(kept.spans)
        self.otlp = OtlpServicer(self.intake)
        bounds = Bounds(section.max_mib << 20, round(section.max_age_days * _DAY_NS))
        self._sweeper = Sweeper(kept.spans, bounds)
        receiver = _receiver(section.forward, environ)
        self.forwarding = Forwarding(self.store, receiver, leads) if receiver is not None else None
        self._sweep_trouble = ""
        self._following = Following(self.store, self.intake)
        standing = SpanStanding(
            self.store,
            self.intake,
            self.forwarding,
            section.forward,
            bounds.max_bytes,
            agents,
            lambda: self._sweep_trouble,
        )
        self.history = History(self.rates, agents)
        self.mesh = MeshServicer(agents, intent, self.history.recent, Edges(self.store), self.rates)
        self._standing = standing
        self._views = TraceViews(self.store, audits, lambda: self.intake.trouble, kept.config.console.trace_url)

    def questions(self, inputs: Inputs, again: Again) -> QuestionServicer:
        """The service of questions, whose inputs are found and which are asked again by these."""
        return QuestionServicer(self._views, self._following, self._standing, inputs, again)

    async def start(self) -> None:
        """Begins to write. A database that can't be used now is tried again whenever spans come."""
        try:
            await asyncio.to_thread(self.store.database.ready)
            if self.forwarding is not None:
                await self.forwarding.prepare()
        except (Unreachable, DiskTrouble) as error:
            _LOG.error("spans can't be kept: %s", error)
        self.intake.start()

    def jobs(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        """What runs until the end, and anew where it fails: what only looks must not end what steers."""
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "spans are swept": self._sweep_always,
            "rates are recorded": self.history.run,
            "questions are followed": self._following.run,
        }
        if self.forwarding is not None:
            works["spans are forwarded"] = self.forwarding.run
        return tuple((name, kept_up(name, work)) for name, work in works.items())

    async def _sweep_always(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except (UpriverError, OSError) as error:
                _LOG.error("%s; tried again in %.0f s", error, SWEEP_S)
            await asyncio.sleep(SWEEP_S)

    def facts(self) -> SpanFacts:
        """How the span store does, for metrics; blocks."""
        intake = self.intake
        facts = SpanFacts(intake.counts, intake.queued_bytes, bool(intake.trouble))
        try:
            stored, oldest_ns = self.store.extent()
            facts = replace(facts, bytes=stored, oldest_ns=oldest_ns)
            if self.forwarding is not None:
                forwarded = self.forwarding.look()
                facts = replace(facts, waiting=forwarded.waiting, lost=forwarded.lost)
        except (Unreachable, DiskTrouble) as error:
            _LOG.debug("metrics tell nothing of the spans' database: %s", error)
        return facts

    def sweep(self) -> None:
        """Takes away what is too much, every `SWEEP_S`; blocks."""
        now_ns = time.time_ns()
        try:
            self._sweeper.sweep(now_ns)
            self.rates.sweep((now_ns - RATES_NS) // _MINUTE_NS)
        except (Unreachable, DiskTrouble) as error:
            self._sweep_trouble = f"what is too old can't be removed: {error}"
            raise
        self._sweep_trouble = ""

    def close(self) -> None:
        """Writes what waits; blocks. No more come when this is called."""
        self.intake.close()


def _receiver(url: str, environ: Mapping[str, str]) -> Receiver | None:
    if not url:
        return None
    headers = parse_env_headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True)
    return Receiver(url, tuple((name.lower(), value) for name, value in headers.items()))


async def kept_up(name: str, work: Callable[[], Coroutine[Any, Any, None]], pause_s: float = AGAIN_S) -> None:
    """Has something run until this is cancelled: where it ends or fails, that is told, and it begins anew."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it is, it is told, and what does not need it goes on
            _LOG.exception("%s no more; that begins anew in %.0f s", name, pause_s)
        await asyncio.sleep(pause_s)
