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

class CalibrationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALIBRATION_STATE_UNSPECIFIED: _ClassVar[CalibrationState]
    CALIBRATION_STATE_PENDING: _ClassVar[CalibrationState]
    CALIBRATION_STATE_RUNNING: _ClassVar[CalibrationState]
    CALIBRATION_STATE_SUCCEEDED: _ClassVar[CalibrationState]
    CALIBRATION_STATE_FAILED: _ClassVar[CalibrationState]
    CALIBRATION_STATE_CANCELLED: _ClassVar[CalibrationState]

class CertificateForm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CERTIFICATE_FORM_UNSPECIFIED: _ClassVar[CertificateForm]
    CERTIFICATE_FORM_PER_TIER: _ClassVar[CertificateForm]
    CERTIFICATE_FORM_JOINT: _ClassVar[CertificateForm]

class CostUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COST_UNIT_UNSPECIFIED: _ClassVar[CostUnit]
    COST_UNIT_MS: _ClassVar[CostUnit]
    COST_UNIT_BYTES: _ClassVar[CostUnit]
CALIBRATION_STATE_UNSPECIFIED: CalibrationState
CALIBRATION_STATE_PENDING: CalibrationState
CALIBRATION_STATE_RUNNING: CalibrationState
CALIBRATION_STATE_SUCCEEDED: CalibrationState
CALIBRATION_STATE_FAILED: CalibrationState
CALIBRATION_STATE_CANCELLED: CalibrationState
CERTIFICATE_FORM_UNSPECIFIED: CertificateForm
CERTIFICATE_FORM_PER_TIER: CertificateForm
CERTIFICATE_FORM_JOINT: CertificateForm
COST_UNIT_UNSPECIFIED: CostUnit
COST_UNIT_MS: CostUnit
COST_UNIT_BYTES: CostUnit

class CalibrationTier(_message.Message):
    __slots__ = ("tier", "version", "version_digest", "cost", "hop_ms")
    TIER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    HOP_MS_FIELD_NUMBER: _ClassVar[int]
    tier: str
    version: str
    version_digest: str
    cost: float
    hop_ms: float
    def __init__(self, tier: _Optional[str] = ..., version: _Optional[str] = ..., version_digest: _Optional[str] = ..., cost: _Optional[float] = ..., hop_ms: _Optional[float] = ...) -> None: ...

class AuditSource(_message.Message):
    __slots__ = ("age",)
    AGE_FIELD_NUMBER: _ClassVar[int]
    age: _duration_pb2.Duration
    def __init__(self, age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CalibrationSpec(_message.Message):
    __slots__ = ("max_loss", "confidence", "form", "cost", "labels", "tiers", "data_digest", "audits", "seed", "tune_share", "agreement", "fuse")
    MAX_LOSS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    DATA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TUNE_SHARE_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    FUSE_FIELD_NUMBER: _ClassVar[int]
    max_loss: float
    confidence: float
    form: CertificateForm
    cost: CostUnit
    labels: bool
    tiers: _containers.RepeatedCompositeFieldContainer[CalibrationTier]
    data_digest: str
    audits: AuditSource
    seed: int
    tune_share: float
    agreement: str
    fuse: bool
    def __init__(self, max_loss: _Optional[float] = ..., confidence: _Optional[float] = ..., form: _Optional[_Union[CertificateForm, str]] = ..., cost: _Optional[_Union[CostUnit, str]] = ..., labels: _Optional[bool] = ..., tiers: _Optional[_Iterable[_Union[CalibrationTier, _Mapping]]] = ..., data_digest: _Optional[str] = ..., audits: _Optional[_Union[AuditSource, _Mapping]] = ..., seed: _Optional[int] = ..., tune_share: _Optional[float] = ..., agreement: _Optional[str] = ..., fuse: _Optional[bool] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("name", "spec", "state", "reason", "doing", "progress", "create_time", "update_time", "end_time", "revision", "result")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: CalibrationSpec
    state: CalibrationState
    reason: str
    doing: str
    progress: float
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    revision: int
    result: CalibrationResult
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[CalibrationSpec, _Mapping]] = ..., state: _Optional[_Union[CalibrationState, str]] = ..., reason: _Optional[str] = ..., doing: _Optional[str] = ..., progress: _Optional[float] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., result: _Optional[_Union[CalibrationResult, _Mapping]] = ...) -> None: ...

class CalibrationResult(_message.Message):
    __slots__ = ("tiers", "tune_questions", "calibrate_questions", "losses", "missing", "path", "chosen", "baselines", "shipped", "what_if", "notes", "certified_loss")
    TIERS_FIELD_NUMBER: _ClassVar[int]
    TUNE_QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATE_QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    BASELINES_FIELD_NUMBER: _ClassVar[int]
    SHIPPED_FIELD_NUMBER: _ClassVar[int]
    WHAT_IF_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_LOSS_FIELD_NUMBER: _ClassVar[int]
    tiers: _containers.RepeatedCompositeFieldContainer[TierResult]
    tune_questions: int
    calibrate_questions: int
    losses: float
    missing: int
    path: _containers.RepeatedCompositeFieldContainer[PathPoint]
    chosen: int
    baselines: _containers.RepeatedCompositeFieldContainer[OperatingPoint]
    shipped: OperatingPoint
    what_if: _containers.RepeatedCompositeFieldContainer[WhatIf]
    notes: _containers.RepeatedScalarFieldContainer[str]
    certified_loss: float
    def __init__(self, tiers: _Optional[_Iterable[_Union[TierResult, _Mapping]]] = ..., tune_questions: _Optional[int] = ..., calibrate_questions: _Optional[int] = ..., losses: _Optional[float] = ..., missing: _Optional[int] = ..., path: _Optional[_Iterable[_Union[PathPoint, _Mapping]]] = ..., chosen: _Optional[int] = ..., baselines: _Optional[_Iterable[_Union[OperatingPoint, _Mapping]]] = ..., shipped: _Optional[_Union[OperatingPoint, _Mapping]] = ..., what_if: _Optional[_Iterable[_Union[WhatIf, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., certified_loss: _Optional[float] = ...) -> None: ...

class TierResult(_message.Message):
    __slots__ = ("tier", "version", "policy", "threshold", "epsilon", "coverage", "exit_share", "missing", "preflight", "cost")
    TIER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_SHARE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    PREFLIGHT_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    tier: str
    version: str
    policy: str
    threshold: float
    epsilon: float
    coverage: float
    exit_share: float
    missing: int
    preflight: Preflight
    cost: float
    def __init__(self, tier: _Optional[str] = ..., version: _Optional[str] = ..., policy: _Optional[str] = ..., threshold: _Optional[float] = ..., epsilon: _Optional[float] = ..., coverage: _Optional[float] = ..., exit_share: _Optional[float] = ..., missing: _Optional[int] = ..., preflight: _Optional[_Union[Preflight, _Mapping]] = ..., cost: _Optional[float] = ...) -> None: ...

class Preflight(_message.Message):
    __slots__ = ("auroc", "aurc", "caught", "disagreements", "questions", "fit")
    AUROC_FIELD_NUMBER: _ClassVar[int]
    AURC_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENTS_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    FIT_FIELD_NUMBER: _ClassVar[int]
    auroc: float
    aurc: float
    caught: float
    disagreements: int
    questions: int
    fit: bool
    def __init__(self, auroc: _Optional[float] = ..., aurc: _Optional[float] = ..., caught: _Optional[float] = ..., disagreements: _Optional[int] = ..., questions: _Optional[int] = ..., fit: _Optional[bool] = ...) -> None: ...

class PathPoint(_message.Message):
    __slots__ = ("local_share", "exit_shares", "cost", "losses", "p_value", "certified", "bound")
    LOCAL_SHARE_FIELD_NUMBER: _ClassVar[int]
    EXIT_SHARES_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    local_share: float
    exit_shares: _containers.RepeatedScalarFieldContainer[float]
    cost: float
    losses: float
    p_value: float
    certified: bool
    bound: float
    def __init__(self, local_share: _Optional[float] = ..., exit_shares: _Optional[_Iterable[float]] = ..., cost: _Optional[float] = ..., losses: _Optional[float] = ..., p_value: _Optional[float] = ..., certified: _Optional[bool] = ..., bound: _Optional[float] = ...) -> None: ...

class OperatingPoint(_message.Message):
    __slots__ = ("name", "risk", "cost", "exit_shares")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    EXIT_SHARES_FIELD_NUMBER: _ClassVar[int]
    name: str
    risk: float
    cost: float
    exit_shares: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., risk: _Optional[float] = ..., cost: _Optional[float] = ..., exit_shares: _Optional[_Iterable[float]] = ...) -> None: ...

class WhatIf(_message.Message):
    __slots__ = ("max_loss", "local_share", "cost", "losses", "missing")
    MAX_LOSS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_SHARE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    max_loss: float
    local_share: float
    cost: float
    losses: float
    missing: int
    def __init__(self, max_loss: _Optional[float] = ..., local_share: _Optional[float] = ..., cost: _Optional[float] = ..., losses: _Optional[float] = ..., missing: _Optional[int] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("name", "digest", "version", "version_digest", "tier", "document", "calibration", "create_time", "certificate", "stale", "agents", "threshold")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    version: str
    version_digest: str
    tier: str
    document: str
    calibration: str
    create_time: _timestamp_pb2.Timestamp
    certificate: Certificate
    stale: str
    agents: int
    threshold: float
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., version: _Optional[str] = ..., version_digest: _Optional[str] = ..., tier: _Optional[str] = ..., document: _Optional[str] = ..., calibration: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., certificate: _Optional[_Union[Certificate, _Mapping]] = ..., stale: _Optional[str] = ..., agents: _Optional[int] = ..., threshold: _Optional[float] = ...) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("form", "labels", "epsilon", "delta", "questions", "losses", "coverage", "exit_share", "top_digest", "top_version")
    FORM_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_SHARE_FIELD_NUMBER: _ClassVar[int]
    TOP_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOP_VERSION_FIELD_NUMBER: _ClassVar[int]
    form: CertificateForm
    labels: bool
    epsilon: float
    delta: float
    questions: int
    losses: float
    coverage: float
    exit_share: float
    top_digest: str
    top_version: str
    def __init__(self, form: _Optional[_Union[CertificateForm, str]] = ..., labels: _Optional[bool] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., questions: _Optional[int] = ..., losses: _Optional[float] = ..., coverage: _Optional[float] = ..., exit_share: _Optional[float] = ..., top_digest: _Optional[str] = ..., top_version: _Optional[str] = ...) -> None: ...

class UploadCalibrationDataRequest(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: CalibrationDataHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[CalibrationDataHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class CalibrationDataHeader(_message.Message):
    __slots__ = ("parent", "digest", "size_bytes")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    parent: str
    digest: str
    size_bytes: int
    def __init__(self, parent: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class UploadCalibrationDataResponse(_message.Message):
    __slots__ = ("data_digest", "questions", "has_labels", "created", "expire_time")
    DATA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    HAS_LABELS_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    data_digest: str
    questions: int
    has_labels: bool
    created: bool
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, data_digest: _Optional[str] = ..., questions: _Optional[int] = ..., has_labels: _Optional[bool] = ..., created: _Optional[bool] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateCalibrationRequest(_message.Message):
    __slots__ = ("parent", "spec", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    spec: CalibrationSpec
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., spec: _Optional[_Union[CalibrationSpec, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateCalibrationResponse(_message.Message):
    __slots__ = ("calibration",)
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    calibration: Calibration
    def __init__(self, calibration: _Optional[_Union[Calibration, _Mapping]] = ...) -> None: ...

class GetCalibrationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetCalibrationResponse(_message.Message):
    __slots__ = ("calibration",)
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    calibration: Calibration
    def __init__(self, calibration: _Optional[_Union[Calibration, _Mapping]] = ...) -> None: ...

class ListCalibrationsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCalibrationsResponse(_message.Message):
    __slots__ = ("calibrations", "next_page_token")
    CALIBRATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    calibrations: _containers.RepeatedCompositeFieldContainer[Calibration]
    next_page_token: str
    def __init__(self, calibrations: _Optional[_Iterable[_Union[Calibration, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchCalibrationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WatchCalibrationResponse(_message.Message):
    __slots__ = ("calibration",)
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    calibration: Calibration
    def __init__(self, calibration: _Optional[_Union[Calibration, _Mapping]] = ...) -> None: ...

class CancelCalibrationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelCalibrationResponse(_message.Message):
    __slots__ = ("calibration",)
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    calibration: Calibration
    def __init__(self, calibration: _Optional[_Union[Calibration, _Mapping]] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies", "next_page_token")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    next_page_token: str
    def __init__(self, policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PublishPolicyRequest(_message.Message):
    __slots__ = ("parent", "tier", "document", "head")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    parent: str
    tier: str
    document: str
    head: bytes
    def __init__(self, parent: _Optional[str] = ..., tier: _Optional[str] = ..., document: _Optional[str] = ..., head: _Optional[bytes] = ...) -> None: ...

class PublishPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class RecertifyPolicyRequest(_message.Message):
    __slots__ = ("parent", "tier", "age", "max_loss", "confidence", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    MAX_LOSS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    tier: str
    age: _duration_pb2.Duration
    max_loss: float
    confidence: float
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., tier: _Optional[str] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_loss: _Optional[float] = ..., confidence: _Optional[float] = ..., request_id: _Optional[str] = ...) -> None: ...

class RecertifyPolicyResponse(_message.Message):
    __slots__ = ("calibration",)
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    calibration: Calibration
    def __init__(self, calibration: _Optional[_Union[Calibration, _Mapping]] = ...) -> None: ...
