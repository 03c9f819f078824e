"""Spans of a mesh that was never there: as many questions as asked for, the same ones for the same seed.

Half of the questions are answered where they are asked, with three spans; the others go up and have seven, at two
agents. That is five spans and one and a half hops for a question.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from upriver.tracing import Attribute, EventName, SpanName

MODELS: Final = ("digits", "faces", "fraud", "defects")
REGIONS: Final = ("eu", "us", "asia")
VERSIONS: Final = tuple(f"sha256:{number:064x}" for number in range(1, 9))
TIERS: Final = ("device", "cloud")
REASONS: Final = ("confident", "below_threshold", "upstream_down", "deadline")
PER_QUESTION: Final = 5
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Mesh:
    """How many agents there are at the bottom and above, what chance begins with, and when the first question is asked.

    Questions follow each other by `every_ns`.
    """

    devices: int = 45
    clouds: int = 5
    seed: int = 1
    began_ns: int = 1_800_000_000 * 10**9
    every_ns: int = _MS

    def device(self, index: int) -> str:
        """Where a question is asked."""
        return f"device-{index % self.devices}"

    def cloud(self, index: int) -> str:
        """Who is asked when it goes up."""
        return f"cloud-{index % self.clouds}"

    def trace(self, index: int) -> bytes:
        """The id of a question's trace."""
        return random.Random(self.seed * 2**40 + index).randbytes(16)  # noqa: S311 - made up, not secret


def span_ids(mesh: Mesh, index: int) -> list[bytes]:
    """The ids of a question's spans."""
    trace = mesh.trace(index)
    return [trace[:7] + bytes([number]) for number in range(7 if index % 2 else 3)]


def question(mesh: Mesh, index: int) -> list[tuple[str, Span]]:
    """A question's spans, each with whose it is."""
    ids, begun = span_ids(mesh, index), mesh.began_ns + index * mesh.every_ns
    chance = random.Random(mesh.seed * 2**40 + index + 2**39)  # noqa: S311 - made up, not secret
    device, cloud, up = mesh.device(index), mesh.cloud(index), bool(index % 2)
    took = round(_MS * chance.lognormvariate(1.5, 0.8)) + (20 * _MS if up else 0)
    score = chance.random()
    here = _Hop(mesh, index, device, cloud if up else device, begun, took, score, chance.random() < 0.01)
    spans = [(device, span) for span in _hop(here, ids[:3], b"", 0, up)]
    if up:
        call = _span(mesh, index, ids[3], ids[0], SpanName.ESCALATE, begun + took // 4, took // 2, kind=3)
        _set(call, {Attribute.UPSTREAM_AGENT: cloud, Attribute.UPSTREAM_TIER: "cloud", Attribute.BYTES: 812})
        spans.append((device, call))
        above = _Hop(mesh, index, cloud, cloud, begun + took // 3, took // 4, 0.9 + score / 10, False)
        spans += [(cloud, span) for span in _hop(above, ids[4:], ids[3], 1, False)]
    return spans


def requests(mesh: Mesh, questions: Sequence[int], most: int = 512) -> Iterator[tuple[ExportTraceServiceRequest, int]]:
    """Exports as agents send them, each with how many spans it has."""
    waiting: dict[str, list[Span]] = {}
    for index in questions:
        for agent, span in question(mesh, index):
            spans = waiting.setdefault(agent, [])
            spans.append(span)
            if len(spans) >= most:
                yield export(agent, spans), len(spans)
                spans.clear()
    for agent, spans in waiting.items():
        if spans:
            yield export(agent, spans), len(spans)


def export(agent: str, spans: Sequence[Span]) -> ExportTraceServiceRequest:
    """An export of one agent."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(_pair("service.name", "upriver-agent"))
    resource.resource.attributes.append(_pair("service.instance.id", agent))
    scope = resource.scope_spans.add()
    scope.scope.name = "upriver"
    scope.spans.extend(spans)
    return request


@dataclass(frozen=True, slots=True)
class _Hop:
    mesh: Mesh
    index: int
    agent: str
    answered_by: str
    begun_ns: int
    took_ns: int
    score: float
    degraded: bool


def _hop(hop: _Hop, ids: Sequence[bytes], parent: bytes, number: int, up: bool) -> Iterator[Span]:
    mesh, index = hop.mesh, hop.index
    serve = _span(mesh, index, ids[0], parent, SpanName.SERVE, hop.begun_ns, hop.took_ns, kind=2)
    _set(
        serve,
        {
            Attribute.AGENT: hop.agent,
            Attribute.TIER: hop.agent.partition("-")[0],
            Attribute.REGION: REGIONS[index % len(REGIONS)],
            Attribute.MODEL: MODELS[index % len(MODELS)],
            Attribute.VERSION: VERSIONS[index % len(VERSIONS)],
            Attribute.QUESTION: f"q-{mesh.seed:016x}-{index:016x}",
            Attribute.ROWS: 1,
            Attribute.SCORE: hop.score,
            Attribute.THRESHOLD: 0.7,
            Attribute.REASON: REASONS[index % len(REASONS)] if not up else "confident",
            Attribute.RESOLVED: True,
            Attribute.DEGRADED: hop.degraded,
            Attribute.ESCALATED: up,
            Attribute.ANSWERED_BY: hop.answered_by,
            Attribute.ANSWERED_TIER: hop.answered_by.partition("-")[0],
            Attribute.PATH: (hop.agent,) if hop.agent == hop.answered_by else (hop.agent, hop.answered_by),
            Attribute.POLICY: f"sha256:{index % 4:064x}",
            Attribute.HOP: number,
        },
    )
    yield serve
    yield _span(mesh, index, ids[1], ids[0], SpanName.INFER, hop.begun_ns + _MS // 10, hop.took_ns // 8)
    decide = _span(mesh, index, ids[2], ids[0], SpanName.DECIDE, hop.begun_ns + hop.took_ns // 7, hop.took_ns // 100)
    _set(decide, {Attribute.THRESHOLD: 0.7})
    event = decide.events.add(name=EventName.ROW, time_unix_nano=hop.begun_ns + hop.took_ns // 7)
    for name, value in ((Attribute.ROW, 0), (Attribute.SCORE, hop.score), (Attribute.REASON, "confident")):
        event.attributes.append(_pair(name, value))
    yield decide


def _span(
    mesh: Mesh, index: int, own: bytes, parent: bytes, name: str, start_ns: int, took_ns: int, kind: int = 1
) -> Span:
    return Span(
        trace_id=mesh.trace(index),
        span_id=own,
        parent_span_id=parent,
        name=name,
        kind=kind,  # type: ignore[arg-type]  # its enum's values are plain numbers
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + took_ns,
    )


def _set(span: Span, attributes: dict[str, "str | bool | int | float | tuple[str, ...]"]) -> None:
    span.attributes.extend(_pair(name, value) for name, value in attributes.items())


def _pair(name: str, value: "str | bool | int | float | tuple[str, ...]") -> KeyValue:
    match value:
        case bool():
            return KeyValue(key=name, value=AnyValue(bool_value=value))
        case int():
            return KeyValue(key=name, value=AnyValue(int_value=value))
        case float():
            return KeyValue(key=name, value=AnyValue(double_value=value))
        case tuple():
            values = ArrayValue(values=[AnyValue(string_value=item) for item in value])
            return KeyValue(key=name, value=AnyValue(array_value=values))
        case _:
            return KeyValue(key=name, value=AnyValue(string_value=value))
