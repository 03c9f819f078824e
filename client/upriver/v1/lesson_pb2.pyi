import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LessonState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LESSON_STATE_UNSPECIFIED: _ClassVar[LessonState]
    LESSON_STATE_TAKEN: _ClassVar[LessonState]
    LESSON_STATE_HELD: _ClassVar[LessonState]
    LESSON_STATE_ASIDE: _ClassVar[LessonState]
LESSON_STATE_UNSPECIFIED: LessonState
LESSON_STATE_TAKEN: LessonState
LESSON_STATE_HELD: LessonState
LESSON_STATE_ASIDE: LessonState

class Lesson(_message.Message):
    __slots__ = ("id", "model", "version_digest", "state", "learnt_time", "student_label", "student_confidence", "known", "label", "probabilities", "teacher", "teacher_tier", "teacher_policy_digest", "teacher_confidence", "trace", "source", "draw", "consent", "has_input", "embedding", "input", "input_problem", "span")
    class ProbabilitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LEARNT_TIME_FIELD_NUMBER: _ClassVar[int]
    STUDENT_LABEL_FIELD_NUMBER: _ClassVar[int]
    STUDENT_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    TEACHER_FIELD_NUMBER: _ClassVar[int]
    TEACHER_TIER_FIELD_NUMBER: _ClassVar[int]
    TEACHER_POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TEACHER_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    HAS_INPUT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    INPUT_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    version_digest: str
    state: LessonState
    learnt_time: _timestamp_pb2.Timestamp
    student_label: str
    student_confidence: float
    known: float
    label: str
    probabilities: _containers.ScalarMap[str, float]
    teacher: str
    teacher_tier: str
    teacher_policy_digest: str
    teacher_confidence: float
    trace: str
    source: str
    draw: float
    consent: bool
    has_input: bool
    embedding: bytes
    input: bytes
    input_problem: str
    span: str
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., version_digest: _Optional[str] = ..., state: _Optional[_Union[LessonState, str]] = ..., learnt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., student_label: _Optional[str] = ..., student_confidence: _Optional[float] = ..., known: _Optional[float] = ..., label: _Optional[str] = ..., probabilities: _Optional[_Mapping[str, float]] = ..., teacher: _Optional[str] = ..., teacher_tier: _Optional[str] = ..., teacher_policy_digest: _Optional[str] = ..., teacher_confidence: _Optional[float] = ..., trace: _Optional[str] = ..., source: _Optional[str] = ..., draw: _Optional[float] = ..., consent: _Optional[bool] = ..., has_input: _Optional[bool] = ..., embedding: _Optional[bytes] = ..., input: _Optional[bytes] = ..., input_problem: _Optional[str] = ..., span: _Optional[str] = ...) -> None: ...

class LessonChoice(_message.Message):
    __slots__ = ("ids", "model", "version_digest", "label", "source", "teacher", "since_time", "until_time", "state")
    IDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TEACHER_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    model: str
    version_digest: str
    label: str
    source: str
    teacher: str
    since_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    state: LessonState
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ..., version_digest: _Optional[str] = ..., label: _Optional[str] = ..., source: _Optional[str] = ..., teacher: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[LessonState, str]] = ...) -> None: ...

class ListLessonsRequest(_message.Message):
    __slots__ = ("choice", "page_size", "page_token", "include_embedding", "include_input")
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    choice: LessonChoice
    page_size: int
    page_token: str
    include_embedding: bool
    include_input: bool
    def __init__(self, choice: _Optional[_Union[LessonChoice, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_embedding: _Optional[bool] = ..., include_input: _Optional[bool] = ...) -> None: ...

class ListLessonsResponse(_message.Message):
    __slots__ = ("lessons", "next_page_token")
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    lessons: _containers.RepeatedCompositeFieldContainer[Lesson]
    next_page_token: str
    def __init__(self, lessons: _Optional[_Iterable[_Union[Lesson, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetLessonStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetLessonStatsResponse(_message.Message):
    __slots__ = ("classes", "teachers", "counters", "bytes", "max_bytes", "models", "trouble")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ModelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    TEACHERS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[LessonClass]
    teachers: _containers.RepeatedCompositeFieldContainer[Teacher]
    counters: _containers.ScalarMap[str, int]
    bytes: int
    max_bytes: int
    models: _containers.ScalarMap[str, str]
    trouble: str
    def __init__(self, classes: _Optional[_Iterable[_Union[LessonClass, _Mapping]]] = ..., teachers: _Optional[_Iterable[_Union[Teacher, _Mapping]]] = ..., counters: _Optional[_Mapping[str, int]] = ..., bytes: _Optional[int] = ..., max_bytes: _Optional[int] = ..., models: _Optional[_Mapping[str, str]] = ..., trouble: _Optional[str] = ...) -> None: ...

class LessonClass(_message.Message):
    __slots__ = ("model", "version_digest", "label", "state", "lessons", "bytes", "used")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    model: str
    version_digest: str
    label: str
    state: LessonState
    lessons: int
    bytes: int
    used: bool
    def __init__(self, model: _Optional[str] = ..., version_digest: _Optional[str] = ..., label: _Optional[str] = ..., state: _Optional[_Union[LessonState, str]] = ..., lessons: _Optional[int] = ..., bytes: _Optional[int] = ..., used: _Optional[bool] = ...) -> None: ...

class Teacher(_message.Message):
    __slots__ = ("agent", "taken", "idle", "quarantined", "quarantine_time", "audits", "contradictions")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    IDLE_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_TIME_FIELD_NUMBER: _ClassVar[int]
    AUDITS_FIELD_NUMBER: _ClassVar[int]
    CONTRADICTIONS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    taken: int
    idle: int
    quarantined: bool
    quarantine_time: _timestamp_pb2.Timestamp
    audits: int
    contradictions: int
    def __init__(self, agent: _Optional[str] = ..., taken: _Optional[int] = ..., idle: _Optional[int] = ..., quarantined: _Optional[bool] = ..., quarantine_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., audits: _Optional[int] = ..., contradictions: _Optional[int] = ...) -> None: ...

class ExportLessonsRequest(_message.Message):
    __slots__ = ("choice", "include_input")
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    choice: LessonChoice
    include_input: bool
    def __init__(self, choice: _Optional[_Union[LessonChoice, _Mapping]] = ..., include_input: _Optional[bool] = ...) -> None: ...

class ExportLessonsResponse(_message.Message):
    __slots__ = ("lessons", "total")
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    lessons: _containers.RepeatedCompositeFieldContainer[Lesson]
    total: int
    def __init__(self, lessons: _Optional[_Iterable[_Union[Lesson, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class ForgetLessonsRequest(_message.Message):
    __slots__ = ("choice", "dry_run", "all")
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    choice: LessonChoice
    dry_run: bool
    all: bool
    def __init__(self, choice: _Optional[_Union[LessonChoice, _Mapping]] = ..., dry_run: _Optional[bool] = ..., all: _Optional[bool] = ...) -> None: ...

class ForgetLessonsResponse(_message.Message):
    __slots__ = ("lessons",)
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    lessons: int
    def __init__(self, lessons: _Optional[int] = ...) -> None: ...

class ReleaseTeacherRequest(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    def __init__(self, agent: _Optional[str] = ...) -> None: ...

class ReleaseTeacherResponse(_message.Message):
    __slots__ = ("lessons",)
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    lessons: int
    def __init__(self, lessons: _Optional[int] = ...) -> None: ...
