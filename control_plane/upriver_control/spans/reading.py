"""OTLP's messages read into spans, and kept spans written into messages again, each bit for bit as it came.

A request is read by a message of our own that has OTLP's numbers but leaves each span's bytes as they are.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from upriver.errors import InvalidInput
from upriver_control.spans.facts import Attributes, EventFacts, LinkFacts, Scalar, SpanFacts, Value, clean
from upriver_control.spans.rows import MAX_REASONS, READ

_NO_SPAN: Final = bytes(8)
_MAX_DEPTH: Final = 4
MAX_ORIGIN_BYTES: Final = 16 << 10
"""Of a resource with a scope."""


class Origin(NamedTuple):
    """Whose spans they are: the bytes of the resource and of the scope, and the URLs of their schemas."""

    resource: bytes
    scope: bytes
    resource_url: str
    scope_url: str

    @property
    def digest(self) -> str:
        """What it is known by."""
        parts = (self.resource, self.scope, self.resource_url.encode(), self.scope_url.encode())
        return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).hexdigest()


class Batch(NamedTuple):
    """Spans of one origin."""

    origin: Origin
    spans: list[SpanFacts]


class Read(NamedTuple):
    """What was in a request; `unread` is how many spans of it were no spans, and the first few reasons why."""

    batches: list[Batch]
    unread: int
    reasons: tuple[str, ...]


def _unopened() -> Any:
    """`ExportTraceServiceRequest`, and `TracesData`, which has the same fields, with what is in spans left as bytes."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="upriver_unopened.proto", package="upriver.unopened", syntax="proto3"
    )
    request, resource, scope = (file.message_type.add(name=name) for name in ("Request", "ResourceSpans", "ScopeSpans"))
    one, many = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    request.field.add(
        name="resource_spans",
        number=1,
        label=many,
        type=kinds.TYPE_MESSAGE,
        type_name=".upriver.unopened.ResourceSpans",
    )
    resource.field.add(name="resource", number=1, label=one, type=kinds.TYPE_BYTES)
    resource.field.add(
        name="scope_spans", number=2, label=many, type=kinds.TYPE_MESSAGE, type_name=".upriver.unopened.ScopeSpans"
    )
    scope.field.add(name="scope", number=1, label=one, type=kinds.TYPE_BYTES)
    scope.field.add(name="spans", number=2, label=many, type=kinds.TYPE_BYTES)
    for message in (resource, scope):
        message.field.add(name="schema_url", number=3, label=one, type=kinds.TYPE_STRING)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("upriver.unopened.Request"))


_Request: Final = _unopened()


def read(request: bytes) -> Read:
    """Reads an `ExportTraceServiceRequest`; raises InvalidInput when it is none. Spans that are none are counted."""
    batches: list[Batch] = []
    reasons: list[str] = []
    unread = 0
    try:
        opened = _Request.FromString(request)
    except DecodeError as error:
        raise InvalidInput(f"{len(request)} bytes that are no ExportTraceServiceRequest of OTLP") from error
    for resource in opened.resource_spans:
        for scope in resource.scope_spans:
            origin = Origin(resource.resource, scope.scope, _kept(resource.schema_url), _kept(scope.schema_url))
            try:
                found, wrong = _opened(scope.spans, whose(origin))
            except InvalidInput as error:
                found, wrong = [], [str(error)] * len(scope.spans)
            if found:
                batches.append(Batch(origin, found))
            unread += len(wrong)
            reasons += wrong[: MAX_REASONS - len(reasons)]
    return Read(batches, unread, tuple(reasons))


def _opened(raws: Iterable[bytes], owner: tuple[str, str]) -> tuple[list[SpanFacts], list[str]]:
    found, wrong = [], []
    for raw in raws:
        try:
            found.append(facts_of(raw, owner))
        except DecodeError:
            wrong.append(f"{len(raw)} bytes that are no span of OTLP")
    return found, wrong


def facts_of(raw: bytes, owner: tuple[str, str], offset_ns: int = 0, whole: bool = False) -> SpanFacts:
    """A span of its message; `owner` are its service and agent. Raises DecodeError.

    Attributes and events are read of spans that questions are made of, and of all when the `whole` is wanted.
    """
    span = Span.FromString(raw)
    wanted = whole or span.name in READ
    parent = span.parent_span_id
    return SpanFacts(
        trace=span.trace_id,
        span=span.span_id,
        parent=b"" if parent == _NO_SPAN else parent,
        name=span.name,
        kind=span.kind,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes) if wanted else {},
        events=tuple(
            EventFacts(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events
        )
        if wanted
        else (),
        links=tuple(LinkFacts(link.trace_id, link.span_id) for link in span.links) if span.links else (),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        error=span.status.message,
        service=owner[0],
        agent=owner[1],
        offset_ns=offset_ns,
        raw=raw,
    )


def whose(origin: Origin) -> tuple[str, str]:
    """The service's name and the instance's id of a resource, empty when not told; raises InvalidInput if it is none.

    The scope is looked at too: what is not OTLP here would not be at another receiver's.
    """
    if len(origin.resource) + len(origin.scope) > MAX_ORIGIN_BYTES:
        raise InvalidInput(f"a resource or scope of more than {MAX_ORIGIN_BYTES} bytes, which is not taken")
    return _whose(origin.resource, origin.scope)


def written(spans: Iterable[tuple[Origin, bytes]]) -> bytes:
    """Kept spans as `ExportTraceServiceRequest` or `TracesData`, which are the same; those of an origin together."""
    request = _Request()
    origins: dict[Origin, list[bytes]] = {}
    for origin, raws in groupby(spans, key=itemgetter(0)):
        origins.setdefault(origin, []).extend(raw for _, raw in raws)
    for origin, raws_of in origins.items():
        resource = request.resource_spans.add(resource=origin.resource, schema_url=origin.resource_url)
        resource.scope_spans.add(scope=origin.scope, schema_url=origin.scope_url, spans=raws_of)
    done: bytes = request.SerializeToString()
    return done


@lru_cache(maxsize=1024)
def _whose(resource: bytes, scope: bytes) -> tuple[str, str]:
    try:
        told = _attributes(Resource.FromString(resource).attributes)
        InstrumentationScope.FromString(scope)
    except DecodeError as error:
        raise InvalidInput("a resource or scope that is none of OTLP's") from error
    return clean(str(told.get("service.name", ""))), clean(str(told.get("service.instance.id", "")))


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue, depth: int = 0) -> Value:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    if kind == "array_value":
        return tuple(_scalar(item, depth) for item in value.array_value.values)
    if kind == "kvlist_value":
        return tuple(f"{pair.key}={_scalar(pair.value, depth)!s}" for pair in value.kvlist_value.values)
    found: Scalar = getattr(value, kind)
    return found


def _scalar(value: AnyValue, depth: int) -> Scalar:
    """A value in a list: lists in lists are told as text, and what is deeper than anybody reads is left out."""
    if depth >= _MAX_DEPTH:
        return "…"
    found = _value(value, depth + 1)
    return ", ".join(str(item) for item in found) if isinstance(found, tuple) else found


def _kept(url: str) -> str:
    """As a database takes it: no schema's URL has a zero character."""
    return url.replace("\0", "")
