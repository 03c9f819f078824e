import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SlotState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOT_STATE_UNSPECIFIED: _ClassVar[SlotState]
    SLOT_STATE_STAGING: _ClassVar[SlotState]
    SLOT_STATE_STAGED: _ClassVar[SlotState]
    SLOT_STATE_VERIFIED: _ClassVar[SlotState]
    SLOT_STATE_WARMED: _ClassVar[SlotState]
    SLOT_STATE_ACTIVE: _ClassVar[SlotState]
    SLOT_STATE_RETIRED: _ClassVar[SlotState]
    SLOT_STATE_FAILED: _ClassVar[SlotState]

class Failure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_UNSPECIFIED: _ClassVar[Failure]
    FAILURE_UNFIT: _ClassVar[Failure]
    FAILURE_UNAVAILABLE: _ClassVar[Failure]
    FAILURE_UNTRUSTED: _ClassVar[Failure]
    FAILURE_SELF_TEST: _ClassVar[Failure]
    FAILURE_GOLDEN: _ClassVar[Failure]
    FAILURE_SHADOW: _ClassVar[Failure]
    FAILURE_DISK: _ClassVar[Failure]
SLOT_STATE_UNSPECIFIED: SlotState
SLOT_STATE_STAGING: SlotState
SLOT_STATE_STAGED: SlotState
SLOT_STATE_VERIFIED: SlotState
SLOT_STATE_WARMED: SlotState
SLOT_STATE_ACTIVE: SlotState
SLOT_STATE_RETIRED: SlotState
SLOT_STATE_FAILED: SlotState
FAILURE_UNSPECIFIED: Failure
FAILURE_UNFIT: Failure
FAILURE_UNAVAILABLE: Failure
FAILURE_UNTRUSTED: Failure
FAILURE_SELF_TEST: Failure
FAILURE_GOLDEN: Failure
FAILURE_SHADOW: Failure
FAILURE_DISK: Failure

class SyncRequest(_message.Message):
    __slots__ = ("hello", "status", "acknowledgement")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    status: Status
    acknowledgement: Acknowledgement
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., acknowledgement: _Optional[_Union[Acknowledgement, _Mapping]] = ...) -> None: ...

class SyncResponse(_message.Message):
    __slots__ = ("nonce", "resource_version", "assignments", "upstreams", "directions", "trials")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    UPSTREAMS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    resource_version: str
    assignments: Assignments
    upstreams: Upstreams
    directions: Directions
    trials: Trials
    def __init__(self, nonce: _Optional[str] = ..., resource_version: _Optional[str] = ..., assignments: _Optional[_Union[Assignments, _Mapping]] = ..., upstreams: _Optional[_Union[Upstreams, _Mapping]] = ..., directions: _Optional[_Union[Directions, _Mapping]] = ..., trials: _Optional[_Union[Trials, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("agent", "tier", "tiers", "region", "labels", "hardware", "address", "tls", "protocol", "program_version", "boot", "resource_versions", "status")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ResourceVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HARDWARE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_VERSION_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    tier: str
    tiers: _containers.RepeatedScalarFieldContainer[str]
    region: str
    labels: _containers.ScalarMap[str, str]
    hardware: Hardware
    address: str
    tls: bool
    protocol: int
    program_version: str
    boot: str
    resource_versions: _containers.ScalarMap[str, str]
    status: Status
    def __init__(self, agent: _Optional[str] = ..., tier: _Optional[str] = ..., tiers: _Optional[_Iterable[str]] = ..., region: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., hardware: _Optional[_Union[Hardware, _Mapping]] = ..., address: _Optional[str] = ..., tls: _Optional[bool] = ..., protocol: _Optional[int] = ..., program_version: _Optional[str] = ..., boot: _Optional[str] = ..., resource_versions: _Optional[_Mapping[str, str]] = ..., status: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...

class Hardware(_message.Message):
    __slots__ = ("machine", "cores", "memory_bytes", "disk_budget_bytes", "runtime", "runtime_version")
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BUDGET_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    machine: str
    cores: int
    memory_bytes: int
    disk_budget_bytes: int
    runtime: str
    runtime_version: str
    def __init__(self, machine: _Optional[str] = ..., cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., disk_budget_bytes: _Optional[int] = ..., runtime: _Optional[str] = ..., runtime_version: _Optional[str] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("slots", "load", "disk_bytes", "fetched_control_plane_bytes", "fetched_agent_bytes", "delta_saved_bytes", "draining", "decisions", "pooling", "lessons")
    class DecisionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LessonsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    FETCHED_CONTROL_PLANE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FETCHED_AGENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    DELTA_SAVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    POOLING_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    slots: _containers.RepeatedCompositeFieldContainer[SlotReport]
    load: float
    disk_bytes: int
    fetched_control_plane_bytes: int
    fetched_agent_bytes: int
    delta_saved_bytes: int
    draining: bool
    decisions: _containers.ScalarMap[str, int]
    pooling: PoolingReport
    lessons: _containers.ScalarMap[str, int]
    def __init__(self, slots: _Optional[_Iterable[_Union[SlotReport, _Mapping]]] = ..., load: _Optional[float] = ..., disk_bytes: _Optional[int] = ..., fetched_control_plane_bytes: _Optional[int] = ..., fetched_agent_bytes: _Optional[int] = ..., delta_saved_bytes: _Optional[int] = ..., draining: _Optional[bool] = ..., decisions: _Optional[_Mapping[str, int]] = ..., pooling: _Optional[_Union[PoolingReport, _Mapping]] = ..., lessons: _Optional[_Mapping[str, int]] = ...) -> None: ...

class PoolingReport(_message.Message):
    __slots__ = ("parent", "standing", "children", "agents", "trouble", "epsilon", "delta")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    parent: str
    standing: str
    children: int
    agents: int
    trouble: str
    epsilon: float
    delta: float
    def __init__(self, parent: _Optional[str] = ..., standing: _Optional[str] = ..., children: _Optional[int] = ..., agents: _Optional[int] = ..., trouble: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("version", "version_digest", "policy_document")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    version: str
    version_digest: str
    policy_document: str
    def __init__(self, version: _Optional[str] = ..., version_digest: _Optional[str] = ..., policy_document: _Optional[str] = ...) -> None: ...

class SlotReport(_message.Message):
    __slots__ = ("model", "active", "previous", "candidate", "state", "failure", "reason", "generation", "counters", "shadow", "active_for", "monitor", "refined", "unrefined")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FOR_FIELD_NUMBER: _ClassVar[int]
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    REFINED_FIELD_NUMBER: _ClassVar[int]
    UNREFINED_FIELD_NUMBER: _ClassVar[int]
    model: str
    active: Pair
    previous: Pair
    candidate: Pair
    state: SlotState
    failure: Failure
    reason: str
    generation: int
    counters: Counters
    shadow: Shadow
    active_for: _duration_pb2.Duration
    monitor: Monitor
    refined: Refined
    unrefined: str
    def __init__(self, model: _Optional[str] = ..., active: _Optional[_Union[Pair, _Mapping]] = ..., previous: _Optional[_Union[Pair, _Mapping]] = ..., candidate: _Optional[_Union[Pair, _Mapping]] = ..., state: _Optional[_Union[SlotState, str]] = ..., failure: _Optional[_Union[Failure, str]] = ..., reason: _Optional[str] = ..., generation: _Optional[int] = ..., counters: _Optional[_Union[Counters, _Mapping]] = ..., shadow: _Optional[_Union[Shadow, _Mapping]] = ..., active_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., monitor: _Optional[_Union[Monitor, _Mapping]] = ..., refined: _Optional[_Union[Refined, _Mapping]] = ..., unrefined: _Optional[str] = ...) -> None: ...

class Refined(_message.Message):
    __slots__ = ("policy_document", "lessons", "attempt", "since_time")
    POLICY_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    policy_document: str
    lessons: int
    attempt: int
    since_time: _timestamp_pb2.Timestamp
    def __init__(self, policy_document: _Optional[str] = ..., lessons: _Optional[int] = ..., attempt: _Optional[int] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Monitor(_message.Message):
    __slots__ = ("note", "watched", "audits", "disagreements", "log_e_value", "log_shiryaev_roberts", "alarm_time", "rate", "warnings", "waiting", "dropped", "trouble")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    WATCHED_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENTS_FIELD_NUMBER: _ClassVar[int]
    LOG_E_VALUE_FIELD_NUMBER: _ClassVar[int]
    LOG_SHIRYAEV_ROBERTS_FIELD_NUMBER: _ClassVar[int]
    ALARM_TIME_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    note: str
    watched: bool
    audits: int
    disagreements: int
    log_e_value: float
    log_shiryaev_roberts: float
    alarm_time: _timestamp_pb2.Timestamp
    rate: float
    warnings: _containers.RepeatedScalarFieldContainer[str]
    waiting: int
    dropped: int
    trouble: str
    def __init__(self, note: _Optional[str] = ..., watched: _Optional[bool] = ..., audits: _Optional[int] = ..., disagreements: _Optional[int] = ..., log_e_value: _Optional[float] = ..., log_shiryaev_roberts: _Optional[float] = ..., alarm_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rate: _Optional[float] = ..., warnings: _Optional[_Iterable[str]] = ..., waiting: _Optional[int] = ..., dropped: _Optional[int] = ..., trouble: _Optional[str] = ...) -> None: ...

class Counters(_message.Message):
    __slots__ = ("rows", "escalated_rows", "failures", "latency_buckets", "confidence_buckets")
    class LatencyBucketsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    class ConfidenceBucketsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_ROWS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    LATENCY_BUCKETS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_BUCKETS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    escalated_rows: int
    failures: int
    latency_buckets: _containers.ScalarMap[int, int]
    confidence_buckets: _containers.ScalarMap[int, int]
    def __init__(self, rows: _Optional[int] = ..., escalated_rows: _Optional[int] = ..., failures: _Optional[int] = ..., latency_buckets: _Optional[_Mapping[int, int]] = ..., confidence_buckets: _Optional[_Mapping[int, int]] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("rows", "agreed")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    rows: int
    agreed: int
    def __init__(self, rows: _Optional[int] = ..., agreed: _Optional[int] = ...) -> None: ...

class Assignments(_message.Message):
    __slots__ = ("assignments",)
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    def __init__(self, assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("model", "pair", "rollout", "generation", "activation")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    model: str
    pair: Pair
    rollout: str
    generation: int
    activation: Activation
    def __init__(self, model: _Optional[str] = ..., pair: _Optional[_Union[Pair, _Mapping]] = ..., rollout: _Optional[str] = ..., generation: _Optional[int] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("shadow_time", "shadow_rows", "min_agreement")
    SHADOW_TIME_FIELD_NUMBER: _ClassVar[int]
    SHADOW_ROWS_FIELD_NUMBER: _ClassVar[int]
    MIN_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    shadow_time: _duration_pb2.Duration
    shadow_rows: int
    min_agreement: float
    def __init__(self, shadow_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., shadow_rows: _Optional[int] = ..., min_agreement: _Optional[float] = ...) -> None: ...

class Upstreams(_message.Message):
    __slots__ = ("upstreams",)
    UPSTREAMS_FIELD_NUMBER: _ClassVar[int]
    upstreams: _containers.RepeatedCompositeFieldContainer[Upstream]
    def __init__(self, upstreams: _Optional[_Iterable[_Union[Upstream, _Mapping]]] = ...) -> None: ...

class Upstream(_message.Message):
    __slots__ = ("agent", "tier", "region", "address", "protocol", "models", "tls")
    class ModelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ServedVersion
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ServedVersion, _Mapping]] = ...) -> None: ...
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    tier: str
    region: str
    address: str
    protocol: int
    models: _containers.MessageMap[str, ServedVersion]
    tls: bool
    def __init__(self, agent: _Optional[str] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ..., address: _Optional[str] = ..., protocol: _Optional[int] = ..., models: _Optional[_Mapping[str, ServedVersion]] = ..., tls: _Optional[bool] = ...) -> None: ...

class ServedVersion(_message.Message):
    __slots__ = ("version", "digest")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    version: str
    digest: str
    def __init__(self, version: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class Trials(_message.Message):
    __slots__ = ("trials",)
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[Trial]
    def __init__(self, trials: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("model", "version_digest", "region", "head_digest", "top_version_digest", "score", "temperatures", "thresholds")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    HEAD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOP_VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version_digest: str
    region: str
    head_digest: str
    top_version_digest: str
    score: str
    temperatures: _containers.RepeatedScalarFieldContainer[float]
    thresholds: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, model: _Optional[str] = ..., version_digest: _Optional[str] = ..., region: _Optional[str] = ..., head_digest: _Optional[str] = ..., top_version_digest: _Optional[str] = ..., score: _Optional[str] = ..., temperatures: _Optional[_Iterable[float]] = ..., thresholds: _Optional[_Iterable[float]] = ...) -> None: ...

class Directions(_message.Message):
    __slots__ = ("report_interval",)
    REPORT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    report_interval: _duration_pb2.Duration
    def __init__(self, report_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Acknowledgement(_message.Message):
    __slots__ = ("nonce", "refusal")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    refusal: str
    def __init__(self, nonce: _Optional[str] = ..., refusal: _Optional[str] = ...) -> None: ...
