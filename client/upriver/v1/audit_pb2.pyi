import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Audit(_message.Message):
    __slots__ = ("question", "row", "asked_time", "agent", "tier", "region", "model", "version_digest", "policy_digest", "rules_digest", "confidence", "features", "passes", "answered_here", "brought", "answer", "top_answer", "agrees", "top_agent", "top_policy_digest", "top_version_digest", "draw", "rate")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    ASKED_TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RULES_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_HERE_FIELD_NUMBER: _ClassVar[int]
    BROUGHT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TOP_ANSWER_FIELD_NUMBER: _ClassVar[int]
    AGREES_FIELD_NUMBER: _ClassVar[int]
    TOP_AGENT_FIELD_NUMBER: _ClassVar[int]
    TOP_POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOP_VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    question: str
    row: int
    asked_time: _timestamp_pb2.Timestamp
    agent: str
    tier: str
    region: str
    model: str
    version_digest: str
    policy_digest: str
    rules_digest: str
    confidence: float
    features: _containers.ScalarMap[str, float]
    passes: bool
    answered_here: bool
    brought: bool
    answer: str
    top_answer: str
    agrees: bool
    top_agent: str
    top_policy_digest: str
    top_version_digest: str
    draw: float
    rate: float
    def __init__(self, question: _Optional[str] = ..., row: _Optional[int] = ..., asked_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., agent: _Optional[str] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ..., model: _Optional[str] = ..., version_digest: _Optional[str] = ..., policy_digest: _Optional[str] = ..., rules_digest: _Optional[str] = ..., confidence: _Optional[float] = ..., features: _Optional[_Mapping[str, float]] = ..., passes: _Optional[bool] = ..., answered_here: _Optional[bool] = ..., brought: _Optional[bool] = ..., answer: _Optional[str] = ..., top_answer: _Optional[str] = ..., agrees: _Optional[bool] = ..., top_agent: _Optional[str] = ..., top_policy_digest: _Optional[str] = ..., top_version_digest: _Optional[str] = ..., draw: _Optional[float] = ..., rate: _Optional[float] = ...) -> None: ...

class SubmitAuditsRequest(_message.Message):
    __slots__ = ("audits",)
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    audits: _containers.RepeatedCompositeFieldContainer[Audit]
    def __init__(self, audits: _Optional[_Iterable[_Union[Audit, _Mapping]]] = ...) -> None: ...

class SubmitAuditsResponse(_message.Message):
    __slots__ = ("kept",)
    KEPT_FIELD_NUMBER: _ClassVar[int]
    kept: int
    def __init__(self, kept: _Optional[int] = ...) -> None: ...

class ListAuditsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "agent", "policy_digest", "disagreements")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENTS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    agent: str
    policy_digest: str
    disagreements: bool
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., agent: _Optional[str] = ..., policy_digest: _Optional[str] = ..., disagreements: _Optional[bool] = ...) -> None: ...

class ListAuditsResponse(_message.Message):
    __slots__ = ("audits", "next_page_token")
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    audits: _containers.RepeatedCompositeFieldContainer[Audit]
    next_page_token: str
    def __init__(self, audits: _Optional[_Iterable[_Union[Audit, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SummarizeAuditsRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class SummarizeAuditsResponse(_message.Message):
    __slots__ = ("summaries",)
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    summaries: _containers.RepeatedCompositeFieldContainer[AuditSummary]
    def __init__(self, summaries: _Optional[_Iterable[_Union[AuditSummary, _Mapping]]] = ...) -> None: ...

class AuditSummary(_message.Message):
    __slots__ = ("agent", "tier", "version_digest", "policy_digest", "audits", "passed", "disagreements", "last_time")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENTS_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    agent: str
    tier: str
    version_digest: str
    policy_digest: str
    audits: int
    passed: int
    disagreements: int
    last_time: _timestamp_pb2.Timestamp
    def __init__(self, agent: _Optional[str] = ..., tier: _Optional[str] = ..., version_digest: _Optional[str] = ..., policy_digest: _Optional[str] = ..., audits: _Optional[int] = ..., passed: _Optional[int] = ..., disagreements: _Optional[int] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
