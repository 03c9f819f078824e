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

class TrainingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING_STATE_UNSPECIFIED: _ClassVar[TrainingState]
    TRAINING_STATE_PENDING: _ClassVar[TrainingState]
    TRAINING_STATE_RUNNING: _ClassVar[TrainingState]
    TRAINING_STATE_SUCCEEDED: _ClassVar[TrainingState]
    TRAINING_STATE_FAILED: _ClassVar[TrainingState]
    TRAINING_STATE_CANCELLED: _ClassVar[TrainingState]

class TrainingExecutor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING_EXECUTOR_UNSPECIFIED: _ClassVar[TrainingExecutor]
    TRAINING_EXECUTOR_LOCAL: _ClassVar[TrainingExecutor]
    TRAINING_EXECUTOR_RAY: _ClassVar[TrainingExecutor]

class SourceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_KIND_UNSPECIFIED: _ClassVar[SourceKind]
    SOURCE_KIND_KERAS: _ClassVar[SourceKind]
    SOURCE_KIND_REPLAY: _ClassVar[SourceKind]
TRAINING_STATE_UNSPECIFIED: TrainingState
TRAINING_STATE_PENDING: TrainingState
TRAINING_STATE_RUNNING: TrainingState
TRAINING_STATE_SUCCEEDED: TrainingState
TRAINING_STATE_FAILED: TrainingState
TRAINING_STATE_CANCELLED: TrainingState
TRAINING_EXECUTOR_UNSPECIFIED: TrainingExecutor
TRAINING_EXECUTOR_LOCAL: TrainingExecutor
TRAINING_EXECUTOR_RAY: TrainingExecutor
SOURCE_KIND_UNSPECIFIED: SourceKind
SOURCE_KIND_KERAS: SourceKind
SOURCE_KIND_REPLAY: SourceKind

class SubmitLessonsRequest(_message.Message):
    __slots__ = ("lesson", "forgotten")
    LESSON_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    lesson: HandedLesson
    forgotten: ForgottenLesson
    def __init__(self, lesson: _Optional[_Union[HandedLesson, _Mapping]] = ..., forgotten: _Optional[_Union[ForgottenLesson, _Mapping]] = ...) -> None: ...

class SubmitLessonsResponse(_message.Message):
    __slots__ = ("kept", "refused")
    KEPT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    kept: _containers.RepeatedScalarFieldContainer[str]
    refused: _containers.RepeatedCompositeFieldContainer[RefusedLesson]
    def __init__(self, kept: _Optional[_Iterable[str]] = ..., refused: _Optional[_Iterable[_Union[RefusedLesson, _Mapping]]] = ...) -> None: ...

class RefusedLesson(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ForgottenLesson(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class HandedLesson(_message.Message):
    __slots__ = ("id", "agent", "tier", "region", "model", "version_digest", "learnt_time", "inputs", "label", "labels", "scores", "confidence", "own_label", "own_confidence", "teacher_agent", "teacher_tier", "teacher_version_digest", "trace", "span")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LEARNT_TIME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    OWN_LABEL_FIELD_NUMBER: _ClassVar[int]
    OWN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TEACHER_AGENT_FIELD_NUMBER: _ClassVar[int]
    TEACHER_TIER_FIELD_NUMBER: _ClassVar[int]
    TEACHER_VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    id: str
    agent: str
    tier: str
    region: str
    model: str
    version_digest: str
    learnt_time: _timestamp_pb2.Timestamp
    inputs: _containers.RepeatedCompositeFieldContainer[HandedInput]
    label: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    scores: _containers.RepeatedScalarFieldContainer[float]
    confidence: float
    own_label: str
    own_confidence: float
    teacher_agent: str
    teacher_tier: str
    teacher_version_digest: str
    trace: str
    span: str
    def __init__(self, id: _Optional[str] = ..., agent: _Optional[str] = ..., tier: _Optional[str] = ..., region: _Optional[str] = ..., model: _Optional[str] = ..., version_digest: _Optional[str] = ..., learnt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[HandedInput, _Mapping]]] = ..., label: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., scores: _Optional[_Iterable[float]] = ..., confidence: _Optional[float] = ..., own_label: _Optional[str] = ..., own_confidence: _Optional[float] = ..., teacher_agent: _Optional[str] = ..., teacher_tier: _Optional[str] = ..., teacher_version_digest: _Optional[str] = ..., trace: _Optional[str] = ..., span: _Optional[str] = ...) -> None: ...

class HandedInput(_message.Message):
    __slots__ = ("name", "datatype", "shape", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class TrainingSpec(_message.Message):
    __slots__ = ("base_version", "region", "age", "executor", "ray_address", "code", "replay_digest", "holdout", "settings", "rollout", "quantise", "max_loss", "confidence")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    RAY_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REPLAY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    QUANTISE_FIELD_NUMBER: _ClassVar[int]
    MAX_LOSS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    base_version: str
    region: str
    age: _duration_pb2.Duration
    executor: TrainingExecutor
    ray_address: str
    code: str
    replay_digest: str
    holdout: float
    settings: _containers.ScalarMap[str, float]
    rollout: bool
    quantise: str
    max_loss: float
    confidence: float
    def __init__(self, base_version: _Optional[str] = ..., region: _Optional[str] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., executor: _Optional[_Union[TrainingExecutor, str]] = ..., ray_address: _Optional[str] = ..., code: _Optional[str] = ..., replay_digest: _Optional[str] = ..., holdout: _Optional[float] = ..., settings: _Optional[_Mapping[str, float]] = ..., rollout: _Optional[bool] = ..., quantise: _Optional[str] = ..., max_loss: _Optional[float] = ..., confidence: _Optional[float] = ...) -> None: ...

class Training(_message.Message):
    __slots__ = ("name", "spec", "state", "reason", "doing", "progress", "create_time", "update_time", "end_time", "revision", "result", "trigger")
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
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: TrainingSpec
    state: TrainingState
    reason: str
    doing: str
    progress: float
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    revision: int
    result: TrainingResult
    trigger: str
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[TrainingSpec, _Mapping]] = ..., state: _Optional[_Union[TrainingState, str]] = ..., reason: _Optional[str] = ..., doing: _Optional[str] = ..., progress: _Optional[float] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., result: _Optional[_Union[TrainingResult, _Mapping]] = ..., trigger: _Optional[str] = ...) -> None: ...

class TrainingResult(_message.Message):
    __slots__ = ("version", "lessons", "holdout", "replayed", "left_out", "new_labels", "evaluations", "code_digest", "data_digest", "lessons_digest", "calibration", "rollout", "notes")
    class LeftOutEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    NEW_LABELS_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    CODE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DATA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LESSONS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    lessons: int
    holdout: int
    replayed: int
    left_out: _containers.ScalarMap[str, int]
    new_labels: _containers.RepeatedScalarFieldContainer[str]
    evaluations: _containers.RepeatedCompositeFieldContainer[Evaluation]
    code_digest: str
    data_digest: str
    lessons_digest: str
    calibration: str
    rollout: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., lessons: _Optional[int] = ..., holdout: _Optional[int] = ..., replayed: _Optional[int] = ..., left_out: _Optional[_Mapping[str, int]] = ..., new_labels: _Optional[_Iterable[str]] = ..., evaluations: _Optional[_Iterable[_Union[Evaluation, _Mapping]]] = ..., code_digest: _Optional[str] = ..., data_digest: _Optional[str] = ..., lessons_digest: _Optional[str] = ..., calibration: _Optional[str] = ..., rollout: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("region", "questions", "accuracy", "base_accuracy")
    REGION_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    BASE_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    region: str
    questions: int
    accuracy: float
    base_accuracy: float
    def __init__(self, region: _Optional[str] = ..., questions: _Optional[int] = ..., accuracy: _Optional[float] = ..., base_accuracy: _Optional[float] = ...) -> None: ...

class CreateTrainingRequest(_message.Message):
    __slots__ = ("parent", "spec", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    spec: TrainingSpec
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., spec: _Optional[_Union[TrainingSpec, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateTrainingResponse(_message.Message):
    __slots__ = ("training",)
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    training: Training
    def __init__(self, training: _Optional[_Union[Training, _Mapping]] = ...) -> None: ...

class GetTrainingRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetTrainingResponse(_message.Message):
    __slots__ = ("training",)
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    training: Training
    def __init__(self, training: _Optional[_Union[Training, _Mapping]] = ...) -> None: ...

class ListTrainingsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTrainingsResponse(_message.Message):
    __slots__ = ("trainings", "next_page_token")
    TRAININGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trainings: _containers.RepeatedCompositeFieldContainer[Training]
    next_page_token: str
    def __init__(self, trainings: _Optional[_Iterable[_Union[Training, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchTrainingRequest(_message.Message):
    __slots__ = ("name", "log")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    name: str
    log: bool
    def __init__(self, name: _Optional[str] = ..., log: _Optional[bool] = ...) -> None: ...

class WatchTrainingResponse(_message.Message):
    __slots__ = ("training", "log")
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    training: Training
    log: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, training: _Optional[_Union[Training, _Mapping]] = ..., log: _Optional[_Iterable[str]] = ...) -> None: ...

class CancelTrainingRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelTrainingResponse(_message.Message):
    __slots__ = ("training",)
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    training: Training
    def __init__(self, training: _Optional[_Union[Training, _Mapping]] = ...) -> None: ...

class UploadSourceRequest(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: SourceHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[SourceHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class SourceHeader(_message.Message):
    __slots__ = ("version", "kind", "digest", "size_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    kind: SourceKind
    digest: str
    size_bytes: int
    def __init__(self, version: _Optional[str] = ..., kind: _Optional[_Union[SourceKind, str]] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class UploadSourceResponse(_message.Message):
    __slots__ = ("created",)
    CREATED_FIELD_NUMBER: _ClassVar[int]
    created: bool
    def __init__(self, created: _Optional[bool] = ...) -> None: ...

class SummarizeLessonsRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class SummarizeLessonsResponse(_message.Message):
    __slots__ = ("summaries", "url")
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    summaries: _containers.RepeatedCompositeFieldContainer[LessonSummary]
    url: str
    def __init__(self, summaries: _Optional[_Iterable[_Union[LessonSummary, _Mapping]]] = ..., url: _Optional[str] = ...) -> None: ...

class LessonSummary(_message.Message):
    __slots__ = ("region", "date", "lessons", "files", "size_bytes", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    REGION_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    region: str
    date: str
    lessons: int
    files: int
    size_bytes: int
    labels: _containers.ScalarMap[str, int]
    def __init__(self, region: _Optional[str] = ..., date: _Optional[str] = ..., lessons: _Optional[int] = ..., files: _Optional[int] = ..., size_bytes: _Optional[int] = ..., labels: _Optional[_Mapping[str, int]] = ...) -> None: ...

class GetLineageRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetLineageResponse(_message.Message):
    __slots__ = ("ancestors",)
    ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    ancestors: _containers.RepeatedCompositeFieldContainer[Ancestor]
    def __init__(self, ancestors: _Optional[_Iterable[_Union[Ancestor, _Mapping]]] = ...) -> None: ...

class Ancestor(_message.Message):
    __slots__ = ("version", "digest", "create_time", "training_data", "metrics", "conversion", "training", "policies", "source_digest")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TRAINING_DATA_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    CONVERSION_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    version: str
    digest: str
    create_time: _timestamp_pb2.Timestamp
    training_data: str
    metrics: _containers.ScalarMap[str, float]
    conversion: str
    training: Training
    policies: _containers.RepeatedScalarFieldContainer[str]
    source_digest: str
    def __init__(self, version: _Optional[str] = ..., digest: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., training_data: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ..., conversion: _Optional[str] = ..., training: _Optional[_Union[Training, _Mapping]] = ..., policies: _Optional[_Iterable[str]] = ..., source_digest: _Optional[str] = ...) -> None: ...
