import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from upriver.oip.v2 import inference_pb2 as _inference_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TicketState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TICKET_STATE_UNSPECIFIED: _ClassVar[TicketState]
    TICKET_STATE_OPEN: _ClassVar[TicketState]
    TICKET_STATE_ANSWERED: _ClassVar[TicketState]

class TicketWaiting(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TICKET_WAITING_UNSPECIFIED: _ClassVar[TicketWaiting]
    TICKET_WAITING_UPSTREAM: _ClassVar[TicketWaiting]
    TICKET_WAITING_MODEL: _ClassVar[TicketWaiting]
TICKET_STATE_UNSPECIFIED: TicketState
TICKET_STATE_OPEN: TicketState
TICKET_STATE_ANSWERED: TicketState
TICKET_WAITING_UNSPECIFIED: TicketWaiting
TICKET_WAITING_UPSTREAM: TicketWaiting
TICKET_WAITING_MODEL: TicketWaiting

class Ticket(_message.Message):
    __slots__ = ("name", "model", "state", "waiting", "create_time", "expire_time", "answer_time", "attempts", "guess", "answer", "answered_by", "input", "trace", "span")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    GUESS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    state: TicketState
    waiting: TicketWaiting
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    answer_time: _timestamp_pb2.Timestamp
    attempts: int
    guess: _inference_pb2.ModelInferResponse
    answer: _inference_pb2.ModelInferResponse
    answered_by: str
    input: _inference_pb2.ModelInferRequest
    trace: str
    span: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., state: _Optional[_Union[TicketState, str]] = ..., waiting: _Optional[_Union[TicketWaiting, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answer_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., guess: _Optional[_Union[_inference_pb2.ModelInferResponse, _Mapping]] = ..., answer: _Optional[_Union[_inference_pb2.ModelInferResponse, _Mapping]] = ..., answered_by: _Optional[str] = ..., input: _Optional[_Union[_inference_pb2.ModelInferRequest, _Mapping]] = ..., trace: _Optional[str] = ..., span: _Optional[str] = ...) -> None: ...

class GetTicketRequest(_message.Message):
    __slots__ = ("name", "wait_time", "include_input")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIME_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    wait_time: _duration_pb2.Duration
    include_input: bool
    def __init__(self, name: _Optional[str] = ..., wait_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., include_input: _Optional[bool] = ...) -> None: ...

class GetTicketResponse(_message.Message):
    __slots__ = ("ticket",)
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ticket: Ticket
    def __init__(self, ticket: _Optional[_Union[Ticket, _Mapping]] = ...) -> None: ...

class ListTicketsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "state", "model")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    state: TicketState
    model: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[TicketState, str]] = ..., model: _Optional[str] = ...) -> None: ...

class ListTicketsResponse(_message.Message):
    __slots__ = ("tickets", "next_page_token", "counters")
    TICKETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    tickets: _containers.RepeatedCompositeFieldContainer[Ticket]
    next_page_token: str
    counters: TicketCounters
    def __init__(self, tickets: _Optional[_Iterable[_Union[Ticket, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., counters: _Optional[_Union[TicketCounters, _Mapping]] = ...) -> None: ...

class TicketCounters(_message.Message):
    __slots__ = ("open", "issued", "answered", "expired", "dropped", "refused")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ISSUED_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    open: int
    issued: int
    answered: int
    expired: int
    dropped: int
    refused: int
    def __init__(self, open: _Optional[int] = ..., issued: _Optional[int] = ..., answered: _Optional[int] = ..., expired: _Optional[int] = ..., dropped: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...

class WatchTicketsRequest(_message.Message):
    __slots__ = ("names", "since")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    since: int
    def __init__(self, names: _Optional[_Iterable[str]] = ..., since: _Optional[int] = ...) -> None: ...

class WatchTicketsResponse(_message.Message):
    __slots__ = ("ticket", "cursor")
    TICKET_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ticket: Ticket
    cursor: int
    def __init__(self, ticket: _Optional[_Union[Ticket, _Mapping]] = ..., cursor: _Optional[int] = ...) -> None: ...

class AnswerTicketRequest(_message.Message):
    __slots__ = ("name", "label", "outputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    outputs: str
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., outputs: _Optional[str] = ...) -> None: ...

class AnswerTicketResponse(_message.Message):
    __slots__ = ("ticket",)
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ticket: Ticket
    def __init__(self, ticket: _Optional[_Union[Ticket, _Mapping]] = ...) -> None: ...

class DeleteTicketRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteTicketResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
