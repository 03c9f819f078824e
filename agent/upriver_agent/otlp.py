"""Export of spans by OTLP/gRPC: the only module that knows the OpenTelemetry SDK. Imported after the agent serves.

Spans wait in a bounded queue and leave on a thread of their own; when it is full the oldest are dropped. A collector
that is slow or gone costs nothing but those spans, one log line when it goes and one when it is back. Spans made before
the exporter is there, a moment after the agent began to serve, go nowhere.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.trace import Tracer

from upriver.errors import RuntimeMissing
from upriver.tracing import INSTRUMENTATION
from upriver_agent.telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_LOG = logging.getLogger(__name__)
_EXPORT_TIMEOUT_S = 3
_IMPORT_S = 5.0
_FLUSH_S = 1.0
_BATCH_DELAY_MS = 500
_MAX_BATCH = 512
_MAX_ATTRIBUTE = 1000
"""Characters of an attribute: callers choose model names and the like, and the queue must stay small in bytes too."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Where spans go, and who they are from. `queue_spans` is how many may wait."""

    endpoint: str
    agent: str
    queue_spans: int


class SpanExport:
    """Starts the export in the background, since importing the SDK and exporter takes a third of a second."""

    def __init__(self, options: ExportOptions, telemetry: Telemetry) -> None:
        self._options = options
        self._telemetry = telemetry
        self._stop: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._begin, name="upriver-otlp", daemon=True)

    def start(self) -> None:
        """Begins; spans are exported from shortly after."""
        self._thread.start()

    def close(self) -> None:
        """Sends what waits, for at most a second, and ends. Does nothing when it never started."""
        if self._thread.ident is None:
            return
        self._thread.join(_IMPORT_S)
        if self._stop is not None:
            self._stop()

    def _begin(self) -> None:
        try:
            tracer, self._stop = _make_tracer(self._options)
        except RuntimeMissing as error:
            _LOG.error("%s", error)
            return
        self._telemetry.use(tracer)
        _LOG.info("spans go to %s", self._options.endpoint)


class Reported:
    """A span exporter that tells when its collector stops taking spans and when it takes them again, once each."""

    def __init__(self, exporter: "SpanExporter", endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._lost = 0

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        """Sends a batch; a batch that fails is lost."""
        result = self._exporter.export(spans)
        if result.name != "SUCCESS":
            if not self._lost:
                _LOG.warning("the collector at %s takes no spans; questions are answered as before", self._endpoint)
            self._lost += len(spans)
        elif self._lost:
            _LOG.info("the collector at %s takes spans again; %d were lost", self._endpoint, self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Ends the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)


def _make_tracer(options: ExportOptions) -> tuple[Tracer, Callable[[], None]]:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError as error:
        raise RuntimeMissing(
            f"telemetry.otlp_endpoint is set, but {error.name} is not installed: pip install 'upriver[otel]'"
        ) from error
    # They tell every failed batch and every full queue; `Reported` tells what an operator wants to know.
    logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
    logging.getLogger("opentelemetry.sdk").setLevel(logging.ERROR)
    exporter = OTLPSpanExporter(
        endpoint=options.endpoint, insecure=options.endpoint.startswith("http://"), timeout=_EXPORT_TIMEOUT_S
    )
    processor = BatchSpanProcessor(
        Reported(exporter, options.endpoint),  # type: ignore[arg-type]  # has its methods; the SDK is not known here
        max_queue_size=options.queue_spans,
        max_export_batch_size=min(_MAX_BATCH, options.queue_spans),
        schedule_delay_millis=_BATCH_DELAY_MS,
    )
    resource = Resource.create(
        {"service.name": "upriver-agent", "service.instance.id": options.agent, "service.version": version("upriver")}
    )
    limits = SpanLimits(max_attribute_length=_MAX_ATTRIBUTE)
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(processor)

    def stop() -> None:
        # Shutdown sends what waits, but is bounded by neither batches nor retries when the collector is dead. The
        # thread that is left behind then ends with the process.
        ending = threading.Thread(target=provider.shutdown, name="upriver-otlp-end", daemon=True)
        ending.start()
        ending.join(_FLUSH_S)

    return provider.get_tracer(INSTRUMENTATION), stop
