"""Spans as the bytes that OTLP sends: the only module that knows the OpenTelemetry SDK."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from upriver.tracing import INSTRUMENTATION
from upriver_agent.spooling.lanes import Lanes, Worth

MAX_BYTES: Final = 128 << 10
"""Of one export: one that a slow link does not get over is sent again whole, and a spool drops whole batches."""
_MAX_ATTRIBUTE: Final = 1000
"""Characters of an attribute: callers choose model names and the like, and the queue must stay small in bytes too."""


@dataclass(frozen=True, slots=True)
class Batch:
    """An ExportTraceServiceRequest's bytes, and how many spans are in it."""

    worth: Worth
    spans: int
    body: bytes


def encode(worth: Worth, spans: Sequence[ReadableSpan]) -> list[Batch]:
    """Spans as batches in their order, each within MAX_BYTES unless one span alone is larger."""
    if not spans:
        return []
    body = encode_spans(spans).SerializeToString()
    if len(body) > MAX_BYTES and len(spans) > 1:
        half = len(spans) // 2
        return encode(worth, spans[:half]) + encode(worth, spans[half:])
    return [Batch(worth, len(spans), body)]


def make_tracer(agent: str, lanes: Lanes, worth: Worth) -> Tracer:
    """A tracer whose spans of this agent wait in a lane."""
    resource = Resource.create(
        {"service.name": "upriver-agent", "service.instance.id": agent, "service.version": version("upriver")}
    )
    limits = SpanLimits(max_attribute_length=_MAX_ATTRIBUTE)
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(lanes.lane(worth))  # type: ignore[arg-type]  # has its methods without the SDK
    return provider.get_tracer(INSTRUMENTATION)
