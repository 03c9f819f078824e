import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HeadTrial(_message.Message):
    __slots__ = ("head", "version_digest", "tried_time", "lessons", "attempt", "epsilon", "delta", "questions", "losses", "threshold", "coverage", "p_loss", "gained", "given_up", "p_fewer", "why", "promoted", "answers")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TRIED_TIME_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    P_LOSS_FIELD_NUMBER: _ClassVar[int]
    GAINED_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_FIELD_NUMBER: _ClassVar[int]
    P_FEWER_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    PROMOTED_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    head: str
    version_digest: str
    tried_time: _timestamp_pb2.Timestamp
    lessons: int
    attempt: int
    epsilon: float
    delta: float
    questions: int
    losses: int
    threshold: float
    coverage: float
    p_loss: float
    gained: int
    given_up: int
    p_fewer: float
    why: str
    promoted: bool
    answers: bool
    def __init__(self, head: _Optional[str] = ..., version_digest: _Optional[str] = ..., tried_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lessons: _Optional[int] = ..., attempt: _Optional[int] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., questions: _Optional[int] = ..., losses: _Optional[int] = ..., threshold: _Optional[float] = ..., coverage: _Optional[float] = ..., p_loss: _Optional[float] = ..., gained: _Optional[int] = ..., given_up: _Optional[int] = ..., p_fewer: _Optional[float] = ..., why: _Optional[str] = ..., promoted: _Optional[bool] = ..., answers: _Optional[bool] = ...) -> None: ...

class HeadsOfModel(_message.Message):
    __slots__ = ("model", "version_digest", "lessons", "held_out", "attempts", "held", "why", "ended", "trials")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LESSONS_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version_digest: str
    lessons: int
    held_out: int
    attempts: int
    held: bool
    why: str
    ended: str
    trials: _containers.RepeatedCompositeFieldContainer[HeadTrial]
    def __init__(self, model: _Optional[str] = ..., version_digest: _Optional[str] = ..., lessons: _Optional[int] = ..., held_out: _Optional[int] = ..., attempts: _Optional[int] = ..., held: _Optional[bool] = ..., why: _Optional[str] = ..., ended: _Optional[str] = ..., trials: _Optional[_Iterable[_Union[HeadTrial, _Mapping]]] = ...) -> None: ...

class ListHeadsRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ListHeadsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[HeadsOfModel]
    def __init__(self, models: _Optional[_Iterable[_Union[HeadsOfModel, _Mapping]]] = ...) -> None: ...

class RevertHeadRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class RevertHeadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HoldLearningRequest(_message.Message):
    __slots__ = ("model", "resume")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    model: str
    resume: bool
    def __init__(self, model: _Optional[str] = ..., resume: _Optional[bool] = ...) -> None: ...

class HoldLearningResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
