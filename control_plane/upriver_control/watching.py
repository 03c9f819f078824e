"""What looks at the mesh, composed: spans that come in, are kept within bounds, and go on to others."""

import os
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from opentelemetry.util.re import parse_env_headers

from upriver_control.kept import Kept
from upriver_control.services.otlp import OtlpServicer
from upriver_control.spans.forwarding import Forwarding, Receiver
from upriver_control.spans.intake import Intake
from upriver_control.spans.store import SpanStore
from upriver_control.spans.sweeping import Bounds, Sweeper

SWEEP_S: Final = 10.0
_DAY_NS: Final = 86_400 * 10**9


class Watching:
    """Made and used on a running event loop."""

    def __init__(self, kept: Kept, leads: Callable[[], bool], environ: Mapping[str, str] = os.environ) -> None:
        """`leads` says whether this process is the one that forwards; `environ` has OpenTelemetry's headers."""
        section = kept.config.spans
        self.store = SpanStore(kept.spans)
        self.intake = Intake(self.store)
        self.otlp = OtlpServicer(self.intake)
        bounds = Bounds(section.max_mib << 20, round(section.max_age_days * _DAY_NS))
        self._sweeper = Sweeper(kept.spans, bounds)
        self.forwarding: Forwarding | None = None
        if section.forward:
            headers = parse_env_headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True)
            receiver = Receiver(section.forward, tuple((name.lower(), value) for name, value in headers.items()))
            self.forwarding = Forwarding(self.store, receiver, leads)

    async def start(self) -> None:
        """Begins to write; raises Unreachable and DiskTrouble."""
        if self.forwarding is not None:
            await self.forwarding.prepare()
        self.intake.start()

    def jobs(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        """What runs until the end."""
        return (("spans are forwarded", self.forwarding.run()),) if self.forwarding is not None else ()

    def sweep(self) -> None:
        """Takes away what is too much, every `SWEEP_S`; blocks."""
        self._sweeper.sweep(time.time_ns())

    def close(self) -> None:
        """Writes what waits; blocks. No more come when this is called."""
        self.intake.close()
