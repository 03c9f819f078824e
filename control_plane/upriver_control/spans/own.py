"""The control plane's own spans, which go the way of all others: what it did, linked to what questions it came of."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from upriver.errors import UpriverError
from upriver.tracing import INSTRUMENTATION, MAX_LINKS, Attribute, SpanName
from upriver_control.spans.facts import LinkFacts
from upriver_control.spans.intake import Intake, Taken

_LOG = logging.getLogger(__name__)
SERVICE: Final = "upriver-control"
MAX_CHILDREN: Final = 8
"""Spans below one that has more links than fit into it; what is beyond these is counted alone."""
Told = str | int | float | bool


class OwnSpans:
    """Tells what this process, named `instance`, did. Used by any thread."""

    def __init__(self, intake: Intake, instance: str) -> None:
        self._intake = intake
        self._instance = instance

    def ids(self, about: str) -> LinkFacts:
        """The trace and span that `tell` uses for this: for what is to be below it and comes before it has ended."""
        return LinkFacts(_id(about, "trace", 16), _id(about, "0", 8))

    def tell(
        self,
        name: SpanName,
        about: str,
        times: tuple[int, int],
        attributes: Mapping[str, Told],
        questions: Sequence[LinkFacts] = (),
    ) -> bytes:
        """Keeps a span in a trace of its own, with links to the questions' spans; gives the trace's id.

        `about` says what it is of: the same again, by whichever process, has the same ids and is kept once. Of more
        questions than fit into one span, spans below it link to the next ones, as many as `MAX_CHILDREN`; they say the
        same. `times` are nanoseconds since the epoch. Does not wait. What is not kept is logged.
        """
        trace, own = self.ids(about)
        below = SpanName.TRAIN_LESSONS if name is SpanName.TRAIN else name
        told: dict[str, Told] = dict(attributes)
        if len(questions) > MAX_LINKS:
            told.setdefault(Attribute.LESSONS, len(questions))
        parts = [questions[at : at + MAX_LINKS] for at in range(0, len(questions), MAX_LINKS)][: 1 + MAX_CHILDREN]
        spans = [_span(trace, own, b"", name, times, told, parts[0] if parts else ())]
        spans += [
            _span(trace, _id(about, str(number), 8), own, below, (times[1], times[1]), told, part)
            for number, part in enumerate(parts[1:], 1)
        ]
        try:
            self._intake.offer(self._request(spans)).add_done_callback(_told)
        except UpriverError as error:
            _LOG.warning("a span of the control plane's own is not kept: %s", error)
        return trace

    def _request(self, spans: Sequence[Span]) -> bytes:
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(_pairs({"service.name": SERVICE, "service.instance.id": self._instance}))
        scope = resource.scope_spans.add(spans=spans)
        scope.scope.name = INSTRUMENTATION
        return request.SerializeToString()


def _id(about: str, which: str, size: int) -> bytes:
    return hashlib.sha256(f"{SERVICE} {which} {about}".encode()).digest()[:size]


def _told(done: "Future[Taken]") -> None:
    if error := done.exception():
        _LOG.warning("a span of the control plane's own is not kept: %s", error)
    elif reasons := done.result().reasons:
        _LOG.warning("a span of the control plane's own is not kept: %s", "; ".join(reasons))


def _span(
    trace: bytes,
    own: bytes,
    parent: bytes,
    name: SpanName,
    times: tuple[int, int],
    attributes: Mapping[str, Told],
    links: Sequence[LinkFacts],
) -> Span:
    return Span(
        trace_id=trace,
        span_id=own,
        parent_span_id=parent,
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=times[0],
        end_time_unix_nano=times[1],
        attributes=_pairs(attributes),
        links=[Span.Link(trace_id=link.trace, span_id=link.span) for link in links],
    )


def _pairs(attributes: Mapping[str, Told]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: Told) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case _:
            return AnyValue(string_value=value)
