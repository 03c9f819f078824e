import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListRegionsRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ListRegionsResponse(_message.Message):
    __slots__ = ("regions",)
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[RegionSummary]
    def __init__(self, regions: _Optional[_Iterable[_Union[RegionSummary, _Mapping]]] = ...) -> None: ...

class RegionSummary(_message.Message):
    __slots__ = ("model", "version_digest", "region", "agents", "lessons", "forgotten", "embedding", "attempts", "head_digest", "scope")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    HEAD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version_digest: str
    region: str
    agents: int
    lessons: float
    forgotten: int
    embedding: int
    attempts: int
    head_digest: str
    scope: str
    def __init__(self, model: _Optional[str] = ..., version_digest: _Optional[str] = ..., region: _Optional[str] = ..., agents: _Optional[int] = ..., lessons: _Optional[float] = ..., forgotten: _Optional[int] = ..., embedding: _Optional[int] = ..., attempts: _Optional[int] = ..., head_digest: _Optional[str] = ..., scope: _Optional[str] = ...) -> None: ...

class ListRegionHeadsRequest(_message.Message):
    __slots__ = ("model", "region")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    model: str
    region: str
    def __init__(self, model: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class ListRegionHeadsResponse(_message.Message):
    __slots__ = ("heads",)
    HEADS_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedCompositeFieldContainer[RegionHead]
    def __init__(self, heads: _Optional[_Iterable[_Union[RegionHead, _Mapping]]] = ...) -> None: ...

class RegionHead(_message.Message):
    __slots__ = ("model", "version", "region", "scope", "head_digest", "state", "reason", "lessons", "agents", "create_time", "head_size_bytes", "delta_size_bytes", "epsilon", "attempt", "delta", "questions", "counted_by", "losses", "coverage", "gained", "given_up", "policy", "rollouts")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    HEAD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    HEAD_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DELTA_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    COUNTED_BY_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    GAINED_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    region: str
    scope: str
    head_digest: str
    state: str
    reason: str
    lessons: float
    agents: int
    create_time: _timestamp_pb2.Timestamp
    head_size_bytes: int
    delta_size_bytes: int
    epsilon: float
    attempt: int
    delta: float
    questions: int
    counted_by: int
    losses: int
    coverage: float
    gained: int
    given_up: int
    policy: str
    rollouts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., region: _Optional[str] = ..., scope: _Optional[str] = ..., head_digest: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., lessons: _Optional[float] = ..., agents: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., head_size_bytes: _Optional[int] = ..., delta_size_bytes: _Optional[int] = ..., epsilon: _Optional[float] = ..., attempt: _Optional[int] = ..., delta: _Optional[float] = ..., questions: _Optional[int] = ..., counted_by: _Optional[int] = ..., losses: _Optional[int] = ..., coverage: _Optional[float] = ..., gained: _Optional[int] = ..., given_up: _Optional[int] = ..., policy: _Optional[str] = ..., rollouts: _Optional[_Iterable[str]] = ...) -> None: ...
