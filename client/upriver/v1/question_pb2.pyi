import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from upriver.oip.v2 import inference_pb2 as _inference_pb2
from upriver.v1 import audit_pb2 as _audit_pb2
from upriver.v1 import train_pb2 as _train_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QuestionFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUESTION_FLAG_UNSPECIFIED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_ESCALATED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_DEGRADED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_UNRESOLVED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_FAILED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_TICKETED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_ALARMED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_HEDGED: _ClassVar[QuestionFlag]
    QUESTION_FLAG_SKEWED: _ClassVar[QuestionFlag]
QUESTION_FLAG_UNSPECIFIED: QuestionFlag
QUESTION_FLAG_ESCALATED: QuestionFlag
QUESTION_FLAG_DEGRADED: QuestionFlag
QUESTION_FLAG_UNRESOLVED: QuestionFlag
QUESTION_FLAG_FAILED: QuestionFlag
QUESTION_FLAG_TICKETED: QuestionFlag
QUESTION_FLAG_ALARMED: QuestionFlag
QUESTION_FLAG_HEDGED: QuestionFlag
QUESTION_FLAG_SKEWED: QuestionFlag

class QuestionFilter(_message.Message):
    __slots__ = ("search", "model", "version", "agent", "tier", "region", "reason", "answered_tier", "flags", "from_time", "until_time", "min_latency", "every_hop")
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_TIER_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    MIN_LATENCY_FIELD_NUMBER: _ClassVar[int]
    EVERY_HOP_FIELD_NUMBER: _ClassVar[int]
    search: str
    model: str
    version: str
    agent: str
    tier: str
    region: str
    reason: str
    answered_tier: str
    flags: _containers.RepeatedScalarFieldContainer[QuestionFlag]
    from_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    min_latency: _duration_pb2.Duration
    every_hop: bool
    def __init__(self, search: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., agent: _Optional[str] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ..., reason: _Optional[str] = ..., answered_tier: _Optional[str] = ..., flags: _Optional[_Iterable[_Union[QuestionFlag, str]]] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., every_hop: _Optional[bool] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("trace", "question", "time", "latency", "agent", "tier", "region", "model", "version", "answered_by", "answered_tier", "reason", "score", "threshold", "rows", "flags", "weight", "service", "error", "hop")
    TRACE_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_TIER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HOP_FIELD_NUMBER: _ClassVar[int]
    trace: str
    question: str
    time: _timestamp_pb2.Timestamp
    latency: _duration_pb2.Duration
    agent: str
    tier: str
    region: str
    model: str
    version: str
    answered_by: str
    answered_tier: str
    reason: str
    score: float
    threshold: float
    rows: int
    flags: _containers.RepeatedScalarFieldContainer[QuestionFlag]
    weight: float
    service: str
    error: str
    hop: int
    def __init__(self, trace: _Optional[str] = ..., question: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., agent: _Optional[str] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., answered_by: _Optional[str] = ..., answered_tier: _Optional[str] = ..., reason: _Optional[str] = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., rows: _Optional[int] = ..., flags: _Optional[_Iterable[_Union[QuestionFlag, str]]] = ..., weight: _Optional[float] = ..., service: _Optional[str] = ..., error: _Optional[str] = ..., hop: _Optional[int] = ...) -> None: ...

class ListQuestionsRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: QuestionFilter
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[QuestionFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListQuestionsResponse(_message.Message):
    __slots__ = ("questions", "next_page_token")
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    questions: _containers.RepeatedCompositeFieldContainer[Question]
    next_page_token: str
    def __init__(self, questions: _Optional[_Iterable[_Union[Question, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchQuestionsRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: QuestionFilter
    def __init__(self, filter: _Optional[_Union[QuestionFilter, _Mapping]] = ...) -> None: ...

class WatchQuestionsResponse(_message.Message):
    __slots__ = ("questions", "skipped")
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    questions: _containers.RepeatedCompositeFieldContainer[Question]
    skipped: int
    def __init__(self, questions: _Optional[_Iterable[_Union[Question, _Mapping]]] = ..., skipped: _Optional[int] = ...) -> None: ...

class SummarizeQuestionsRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: QuestionFilter
    def __init__(self, filter: _Optional[_Union[QuestionFilter, _Mapping]] = ...) -> None: ...

class SummarizeQuestionsResponse(_message.Message):
    __slots__ = ("bins", "reasons", "answered_tiers", "p50", "p95", "kept", "estimated", "truncated", "from_time", "until_time")
    BINS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_TIERS_FIELD_NUMBER: _ClassVar[int]
    P50_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    bins: _containers.RepeatedCompositeFieldContainer[LatencyBin]
    reasons: _containers.RepeatedCompositeFieldContainer[CountByName]
    answered_tiers: _containers.RepeatedCompositeFieldContainer[CountByName]
    p50: _duration_pb2.Duration
    p95: _duration_pb2.Duration
    kept: int
    estimated: float
    truncated: bool
    from_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    def __init__(self, bins: _Optional[_Iterable[_Union[LatencyBin, _Mapping]]] = ..., reasons: _Optional[_Iterable[_Union[CountByName, _Mapping]]] = ..., answered_tiers: _Optional[_Iterable[_Union[CountByName, _Mapping]]] = ..., p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p95: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., kept: _Optional[int] = ..., estimated: _Optional[float] = ..., truncated: _Optional[bool] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LatencyBin(_message.Message):
    __slots__ = ("low", "high", "by_tier")
    class ByTierEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    BY_TIER_FIELD_NUMBER: _ClassVar[int]
    low: _duration_pb2.Duration
    high: _duration_pb2.Duration
    by_tier: _containers.ScalarMap[str, float]
    def __init__(self, low: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., high: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., by_tier: _Optional[_Mapping[str, float]] = ...) -> None: ...

class CountByName(_message.Message):
    __slots__ = ("name", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    count: float
    def __init__(self, name: _Optional[str] = ..., count: _Optional[float] = ...) -> None: ...

class GetTraceRequest(_message.Message):
    __slots__ = ("trace", "raw")
    TRACE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    trace: str
    raw: bool
    def __init__(self, trace: _Optional[str] = ..., raw: _Optional[bool] = ...) -> None: ...

class GetTraceResponse(_message.Message):
    __slots__ = ("question", "why", "hops", "spans", "later", "clocks", "missing", "otlp", "url", "tickets", "audits")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    LATER_FIELD_NUMBER: _ClassVar[int]
    CLOCKS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    OTLP_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TICKETS_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    question: Question
    why: str
    hops: _containers.RepeatedCompositeFieldContainer[Hop]
    spans: _containers.RepeatedCompositeFieldContainer[TraceSpan]
    later: _containers.RepeatedCompositeFieldContainer[Later]
    clocks: _containers.RepeatedCompositeFieldContainer[ClockOffset]
    missing: _containers.RepeatedScalarFieldContainer[str]
    otlp: bytes
    url: str
    tickets: _containers.RepeatedScalarFieldContainer[str]
    audits: _containers.RepeatedCompositeFieldContainer[_audit_pb2.Audit]
    def __init__(self, question: _Optional[_Union[Question, _Mapping]] = ..., why: _Optional[str] = ..., hops: _Optional[_Iterable[_Union[Hop, _Mapping]]] = ..., spans: _Optional[_Iterable[_Union[TraceSpan, _Mapping]]] = ..., later: _Optional[_Iterable[_Union[Later, _Mapping]]] = ..., clocks: _Optional[_Iterable[_Union[ClockOffset, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ..., otlp: _Optional[bytes] = ..., url: _Optional[str] = ..., tickets: _Optional[_Iterable[str]] = ..., audits: _Optional[_Iterable[_Union[_audit_pb2.Audit, _Mapping]]] = ...) -> None: ...

class TraceSpan(_message.Message):
    __slots__ = ("span", "parent", "name", "service", "agent", "start", "length", "depth", "error", "attributes", "events", "kind")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SPAN_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    span: str
    parent: str
    name: str
    service: str
    agent: str
    start: _duration_pb2.Duration
    length: _duration_pb2.Duration
    depth: int
    error: str
    attributes: _containers.ScalarMap[str, str]
    events: _containers.RepeatedCompositeFieldContainer[TraceEvent]
    kind: int
    def __init__(self, span: _Optional[str] = ..., parent: _Optional[str] = ..., name: _Optional[str] = ..., service: _Optional[str] = ..., agent: _Optional[str] = ..., start: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., length: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., depth: _Optional[int] = ..., error: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., events: _Optional[_Iterable[_Union[TraceEvent, _Mapping]]] = ..., kind: _Optional[int] = ...) -> None: ...

class TraceEvent(_message.Message):
    __slots__ = ("name", "time_offset", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_OFFSET_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    time_offset: _duration_pb2.Duration
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., time_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Hop(_message.Message):
    __slots__ = ("span", "agent", "tier", "region", "version", "policy", "score", "threshold", "reason", "resolved", "start", "length", "infer", "tries", "rows", "bytes_up", "degraded", "answered_by", "error", "number", "model", "row_count", "ticketed", "notes")
    SPAN_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    INFER_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BYTES_UP_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    TICKETED_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    span: str
    agent: str
    tier: str
    region: str
    version: str
    policy: str
    score: float
    threshold: float
    reason: str
    resolved: bool
    start: _duration_pb2.Duration
    length: _duration_pb2.Duration
    infer: _duration_pb2.Duration
    tries: _containers.RepeatedCompositeFieldContainer[Try]
    rows: _containers.RepeatedCompositeFieldContainer[RowDecision]
    bytes_up: int
    degraded: bool
    answered_by: str
    error: str
    number: int
    model: str
    row_count: int
    ticketed: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, span: _Optional[str] = ..., agent: _Optional[str] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ..., version: _Optional[str] = ..., policy: _Optional[str] = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., reason: _Optional[str] = ..., resolved: _Optional[bool] = ..., start: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., length: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., infer: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tries: _Optional[_Iterable[_Union[Try, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[RowDecision, _Mapping]]] = ..., bytes_up: _Optional[int] = ..., degraded: _Optional[bool] = ..., answered_by: _Optional[str] = ..., error: _Optional[str] = ..., number: _Optional[int] = ..., model: _Optional[str] = ..., row_count: _Optional[int] = ..., ticketed: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Try(_message.Message):
    __slots__ = ("agent", "tier", "cause", "outcome", "message", "bytes", "start", "length", "span", "reason", "rows")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    tier: str
    cause: str
    outcome: str
    message: str
    bytes: int
    start: _duration_pb2.Duration
    length: _duration_pb2.Duration
    span: str
    reason: str
    rows: int
    def __init__(self, agent: _Optional[str] = ..., tier: _Optional[str] = ..., cause: _Optional[str] = ..., outcome: _Optional[str] = ..., message: _Optional[str] = ..., bytes: _Optional[int] = ..., start: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., length: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., span: _Optional[str] = ..., reason: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class RowDecision(_message.Message):
    __slots__ = ("row", "score", "threshold", "reason", "went_up")
    ROW_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WENT_UP_FIELD_NUMBER: _ClassVar[int]
    row: int
    score: float
    threshold: float
    reason: str
    went_up: bool
    def __init__(self, row: _Optional[int] = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., reason: _Optional[str] = ..., went_up: _Optional[bool] = ...) -> None: ...

class Later(_message.Message):
    __slots__ = ("name", "trace", "span", "time", "agent", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    trace: str
    span: str
    time: _timestamp_pb2.Timestamp
    agent: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., trace: _Optional[str] = ..., span: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., agent: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ClockOffset(_message.Message):
    __slots__ = ("agent", "offset", "estimated")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    agent: str
    offset: _duration_pb2.Duration
    estimated: bool
    def __init__(self, agent: _Optional[str] = ..., offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., estimated: _Optional[bool] = ...) -> None: ...

class GetQuestionInputRequest(_message.Message):
    __slots__ = ("trace", "row")
    TRACE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    trace: str
    row: int
    def __init__(self, trace: _Optional[str] = ..., row: _Optional[int] = ...) -> None: ...

class GetQuestionInputResponse(_message.Message):
    __slots__ = ("inputs", "source", "unavailable", "png", "label", "labelled_by")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABELLED_BY_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[_train_pb2.HandedInput]
    source: str
    unavailable: str
    png: bytes
    label: str
    labelled_by: str
    def __init__(self, inputs: _Optional[_Iterable[_Union[_train_pb2.HandedInput, _Mapping]]] = ..., source: _Optional[str] = ..., unavailable: _Optional[str] = ..., png: _Optional[bytes] = ..., label: _Optional[str] = ..., labelled_by: _Optional[str] = ...) -> None: ...

class AskAgainRequest(_message.Message):
    __slots__ = ("trace", "row", "version", "tier", "agent")
    TRACE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    trace: str
    row: int
    version: str
    tier: str
    agent: str
    def __init__(self, trace: _Optional[str] = ..., row: _Optional[int] = ..., version: _Optional[str] = ..., tier: _Optional[str] = ..., agent: _Optional[str] = ...) -> None: ...

class AskAgainResponse(_message.Message):
    __slots__ = ("answer", "label", "score", "threshold", "confident", "answered_by", "latency", "trace")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    CONFIDENT_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    answer: _inference_pb2.ModelInferResponse
    label: str
    score: float
    threshold: float
    confident: bool
    answered_by: str
    latency: _duration_pb2.Duration
    trace: str
    def __init__(self, answer: _Optional[_Union[_inference_pb2.ModelInferResponse, _Mapping]] = ..., label: _Optional[str] = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., confident: _Optional[bool] = ..., answered_by: _Optional[str] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., trace: _Optional[str] = ...) -> None: ...

class GetSpanStoreRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSpanStoreResponse(_message.Message):
    __slots__ = ("spans", "bytes", "max_bytes", "oldest_time", "received", "duplicates", "rejected", "refused", "trouble", "forward", "forward_lag", "forward_lost", "silent_agents")
    SPANS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    FORWARD_LAG_FIELD_NUMBER: _ClassVar[int]
    FORWARD_LOST_FIELD_NUMBER: _ClassVar[int]
    SILENT_AGENTS_FIELD_NUMBER: _ClassVar[int]
    spans: int
    bytes: int
    max_bytes: int
    oldest_time: _timestamp_pb2.Timestamp
    received: int
    duplicates: int
    rejected: int
    refused: int
    trouble: str
    forward: str
    forward_lag: int
    forward_lost: int
    silent_agents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, spans: _Optional[int] = ..., bytes: _Optional[int] = ..., max_bytes: _Optional[int] = ..., oldest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected: _Optional[int] = ..., refused: _Optional[int] = ..., trouble: _Optional[str] = ..., forward: _Optional[str] = ..., forward_lag: _Optional[int] = ..., forward_lost: _Optional[int] = ..., silent_agents: _Optional[_Iterable[str]] = ...) -> None: ...
