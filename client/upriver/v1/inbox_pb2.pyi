from upriver.v1 import ticket_pb2 as _ticket_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OpenTicket(_message.Message):
    __slots__ = ("agent", "ticket", "labels", "png", "input_problem")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    INPUT_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    agent: str
    ticket: _ticket_pb2.Ticket
    labels: _containers.RepeatedScalarFieldContainer[str]
    png: bytes
    input_problem: str
    def __init__(self, agent: _Optional[str] = ..., ticket: _Optional[_Union[_ticket_pb2.Ticket, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., png: _Optional[bytes] = ..., input_problem: _Optional[str] = ...) -> None: ...

class ListOpenTicketsRequest(_message.Message):
    __slots__ = ("model", "page_size", "page_token", "include_input")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    model: str
    page_size: int
    page_token: str
    include_input: bool
    def __init__(self, model: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_input: _Optional[bool] = ...) -> None: ...

class ListOpenTicketsResponse(_message.Message):
    __slots__ = ("tickets", "next_page_token", "unreachable", "reported")
    class UnreachableEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TICKETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    REPORTED_FIELD_NUMBER: _ClassVar[int]
    tickets: _containers.RepeatedCompositeFieldContainer[OpenTicket]
    next_page_token: str
    unreachable: _containers.ScalarMap[str, str]
    reported: int
    def __init__(self, tickets: _Optional[_Iterable[_Union[OpenTicket, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., unreachable: _Optional[_Mapping[str, str]] = ..., reported: _Optional[int] = ...) -> None: ...

class AnswerOpenTicketRequest(_message.Message):
    __slots__ = ("agent", "name", "label")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    agent: str
    name: str
    label: str
    def __init__(self, agent: _Optional[str] = ..., name: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class AnswerOpenTicketResponse(_message.Message):
    __slots__ = ("ticket",)
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ticket: _ticket_pb2.Ticket
    def __init__(self, ticket: _Optional[_Union[_ticket_pb2.Ticket, _Mapping]] = ...) -> None: ...
