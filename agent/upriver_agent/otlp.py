"""Export of spans by OTLP/gRPC: the only module that knows the OpenTelemetry SDK. Imported after the agent serves.

Spans wait in a bounded queue and leave on a thread of their own; what does not fit is dropped. A collector that is
slow or gone costs nothing but those spans.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from opentelemetry.trace import Tracer

from upriver.errors import RuntimeMissing
from upriver.tracing import INSTRUMENTATION
from upriver_agent.telemetry import Telemetry

_LOG = logging.getLogger(__name__)
_EXPORT_TIMEOUT_S = 3
_FLUSH_MS = 1000
_BATCH_DELAY_MS = 500


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
        """Sends what waits, for at most a second, and ends."""
        self._thread.join(5)
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


def _make_tracer(options: ExportOptions) -> tuple[Tracer, Callable[[], None]]:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError as error:
        raise RuntimeMissing(
            f"telemetry.otlp_endpoint is set, but {error.name} is not installed: pip install 'upriver[otel]'"
        ) from error
    # The exporter tells every failed batch; one line at the start is enough for a collector that is away.
    logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(
        endpoint=options.endpoint, insecure=options.endpoint.startswith("http://"), timeout=_EXPORT_TIMEOUT_S
    )
    processor = BatchSpanProcessor(
        exporter,
        max_queue_size=options.queue_spans,
        max_export_batch_size=min(512, options.queue_spans),
        schedule_delay_millis=_BATCH_DELAY_MS,
    )
    resource = Resource.create(
        {"service.name": "upriver-agent", "service.instance.id": options.agent, "service.version": version("upriver")}
    )
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(processor)

    def stop() -> None:
        processor.force_flush(_FLUSH_MS)
        # A dead collector would hold shutdown until its retries end; what was not flushed by now is dropped.
        threading.Thread(target=provider.shutdown, name="upriver-otlp-end", daemon=True).start()

    return provider.get_tracer(INSTRUMENTATION), stop
