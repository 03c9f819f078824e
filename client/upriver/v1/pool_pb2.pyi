from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PoolStanding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOL_STANDING_UNSPECIFIED: _ClassVar[PoolStanding]
    POOL_STANDING_COUNTED: _ClassVar[PoolStanding]
    POOL_STANDING_STAGED: _ClassVar[PoolStanding]
    POOL_STANDING_STALE: _ClassVar[PoolStanding]
    POOL_STANDING_UNKNOWN: _ClassVar[PoolStanding]
POOL_STANDING_UNSPECIFIED: PoolStanding
POOL_STANDING_COUNTED: PoolStanding
POOL_STANDING_STAGED: PoolStanding
POOL_STANDING_STALE: PoolStanding
POOL_STANDING_UNKNOWN: PoolStanding

class SubmitPoolRequest(_message.Message):
    __slots__ = ("header", "roster", "parts")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    header: PoolHeader
    roster: _containers.RepeatedCompositeFieldContainer[PooledAgent]
    parts: _containers.RepeatedCompositeFieldContainer[PoolPart]
    def __init__(self, header: _Optional[_Union[PoolHeader, _Mapping]] = ..., roster: _Optional[_Iterable[_Union[PooledAgent, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[PoolPart, _Mapping]]] = ...) -> None: ...

class PoolHeader(_message.Message):
    __slots__ = ("agent", "epoch", "unchanged")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    agent: str
    epoch: int
    unchanged: bool
    def __init__(self, agent: _Optional[str] = ..., epoch: _Optional[int] = ..., unchanged: _Optional[bool] = ...) -> None: ...

class PooledAgent(_message.Message):
    __slots__ = ("agent", "epoch")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    agent: str
    epoch: int
    def __init__(self, agent: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class PoolPart(_message.Message):
    __slots__ = ("model", "version_digest", "region", "trial", "agents", "statistics", "counts", "forgotten")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    version_digest: str
    region: str
    trial: str
    agents: int
    statistics: PooledStatistics
    counts: PooledCounts
    forgotten: int
    def __init__(self, model: _Optional[str] = ..., version_digest: _Optional[str] = ..., region: _Optional[str] = ..., trial: _Optional[str] = ..., agents: _Optional[int] = ..., statistics: _Optional[_Union[PooledStatistics, _Mapping]] = ..., counts: _Optional[_Union[PooledCounts, _Mapping]] = ..., forgotten: _Optional[int] = ...) -> None: ...

class PooledStatistics(_message.Message):
    __slots__ = ("labels", "outer", "toward")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    OUTER_FIELD_NUMBER: _ClassVar[int]
    TOWARD_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    outer: bytes
    toward: bytes
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., outer: _Optional[bytes] = ..., toward: _Optional[bytes] = ...) -> None: ...

class PooledCounts(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: bytes
    def __init__(self, values: _Optional[bytes] = ...) -> None: ...

class SubmitPoolResponse(_message.Message):
    __slots__ = ("standing", "epoch", "drop")
    STANDING_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    standing: PoolStanding
    epoch: int
    drop: _containers.RepeatedCompositeFieldContainer[PooledAgent]
    def __init__(self, standing: _Optional[_Union[PoolStanding, str]] = ..., epoch: _Optional[int] = ..., drop: _Optional[_Iterable[_Union[PooledAgent, _Mapping]]] = ...) -> None: ...
