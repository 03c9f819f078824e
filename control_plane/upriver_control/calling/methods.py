"""What the control plane calls at agents: where it is, its messages, and what lets the control plane in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from upriver import parameters as names
from upriver.oip.v2 import inference_pb2 as oip
from upriver.v1 import lesson_pb2, ticket_pb2

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Method(Generic[Q, R]):
    """One method. `setting` is the agent's setting that says who may call it; empty for whoever reaches its port."""

    path: str
    write: Callable[[Q], bytes]
    read: Callable[[bytes], R]
    setting: str = ""


_TICKETS: Final = "/upriver.v1.TicketService"
LIST_TICKETS: Final = Method(
    f"{_TICKETS}/ListTickets",
    ticket_pb2.ListTicketsRequest.SerializeToString,
    ticket_pb2.ListTicketsResponse.FromString,
    "tickets.access",
)
GET_TICKET: Final = Method(
    f"{_TICKETS}/GetTicket",
    ticket_pb2.GetTicketRequest.SerializeToString,
    ticket_pb2.GetTicketResponse.FromString,
    "tickets.access",
)
ANSWER_TICKET: Final = Method(
    f"{_TICKETS}/AnswerTicket",
    ticket_pb2.AnswerTicketRequest.SerializeToString,
    ticket_pb2.AnswerTicketResponse.FromString,
    "tickets.access",
)
LIST_LESSONS: Final = Method(
    "/upriver.v1.LessonService/ListLessons",
    lesson_pb2.ListLessonsRequest.SerializeToString,
    lesson_pb2.ListLessonsResponse.FromString,
    "learning.access",
)
MODEL_INFER: Final = Method(
    f"/{names.SERVICE}/ModelInfer",
    oip.ModelInferRequest.SerializeToString,
    oip.ModelInferResponse.FromString,
)
