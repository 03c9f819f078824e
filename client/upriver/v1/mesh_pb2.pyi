import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchMeshRequest(_message.Message):
    __slots__ = ("selector", "interval", "once")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ONCE_FIELD_NUMBER: _ClassVar[int]
    selector: str
    interval: _duration_pb2.Duration
    once: bool
    def __init__(self, selector: _Optional[str] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., once: _Optional[bool] = ...) -> None: ...

class WatchMeshResponse(_message.Message):
    __slots__ = ("agents", "edges", "time", "tiers", "missing")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[MeshAgent]
    edges: _containers.RepeatedCompositeFieldContainer[MeshEdge]
    time: _timestamp_pb2.Timestamp
    tiers: _containers.RepeatedScalarFieldContainer[str]
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agents: _Optional[_Iterable[_Union[MeshAgent, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[MeshEdge, _Mapping]]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tiers: _Optional[_Iterable[str]] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class MeshAgent(_message.Message):
    __slots__ = ("agent", "tier", "region", "connected", "load", "versions", "rows_per_s", "escalated_share", "p95", "alarms", "in_sync", "sends_spans", "address")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_S_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_SHARE_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    ALARMS_FIELD_NUMBER: _ClassVar[int]
    IN_SYNC_FIELD_NUMBER: _ClassVar[int]
    SENDS_SPANS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    tier: str
    region: str
    connected: bool
    load: float
    versions: _containers.RepeatedScalarFieldContainer[str]
    rows_per_s: float
    escalated_share: float
    p95: _duration_pb2.Duration
    alarms: _containers.RepeatedScalarFieldContainer[str]
    in_sync: bool
    sends_spans: bool
    address: str
    def __init__(self, agent: _Optional[str] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ..., connected: _Optional[bool] = ..., load: _Optional[float] = ..., versions: _Optional[_Iterable[str]] = ..., rows_per_s: _Optional[float] = ..., escalated_share: _Optional[float] = ..., p95: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., alarms: _Optional[_Iterable[str]] = ..., in_sync: _Optional[bool] = ..., sends_spans: _Optional[bool] = ..., address: _Optional[str] = ...) -> None: ...

class MeshEdge(_message.Message):
    __slots__ = ("from_agent", "to_agent", "escalations", "failed", "p95")
    FROM_AGENT_FIELD_NUMBER: _ClassVar[int]
    TO_AGENT_FIELD_NUMBER: _ClassVar[int]
    ESCALATIONS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    from_agent: str
    to_agent: str
    escalations: int
    failed: int
    p95: _duration_pb2.Duration
    def __init__(self, from_agent: _Optional[str] = ..., to_agent: _Optional[str] = ..., escalations: _Optional[int] = ..., failed: _Optional[int] = ..., p95: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListRatesRequest(_message.Message):
    __slots__ = ("model", "region", "from_time", "until_time", "step")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    model: str
    region: str
    from_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    step: _duration_pb2.Duration
    def __init__(self, model: _Optional[str] = ..., region: _Optional[str] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListRatesResponse(_message.Message):
    __slots__ = ("rates",)
    RATES_FIELD_NUMBER: _ClassVar[int]
    rates: _containers.RepeatedCompositeFieldContainer[Rate]
    def __init__(self, rates: _Optional[_Iterable[_Union[Rate, _Mapping]]] = ...) -> None: ...

class Rate(_message.Message):
    __slots__ = ("time", "region", "model", "version", "rows", "escalated_rows", "lessons")
    TIME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_ROWS_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    region: str
    model: str
    version: str
    rows: int
    escalated_rows: int
    lessons: int
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., region: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., rows: _Optional[int] = ..., escalated_rows: _Optional[int] = ..., lessons: _Optional[int] = ...) -> None: ...
