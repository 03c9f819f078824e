"""What the serving core takes and gives, free of any transport."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from upriver.fusion import Opinion
from upriver.tensors import Tensor
from upriver_agent.envelope import CallerOptions
from upriver_agent.merge import Answers, RowFacts
from upriver_agent.telemetry import NOWHERE, Origin

Below = tuple[str, Opinion]
"""What a version below said, by its digest."""

MetadataPairs = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that the caller asked for by name; `classification` > 0 asks for the k best labels instead."""

    name: str
    classification: int = 0


@dataclass(slots=True)
class InferRequest:
    """One request: `inputs` are canonical tensors by name, rows first; not yet checked against the model.

    `again` is the id of a question that is asked again from a ticket; such a request gets no further ticket, and
    `origin` is where its question was seen first.
    `below` is what tiers below said of its rows: to be believed only when the caller's envelope is.
    """

    model: str
    version: str
    id: str
    inputs: Mapping[str, Tensor]
    options: CallerOptions
    outputs: tuple[WantedOutput, ...] = ()
    again: str = ""
    below: tuple[Below, ...] = ()
    origin: Origin = NOWHERE


@dataclass(slots=True)
class InferAnswer:
    """The answer to every row of a request, in order.

    `tickets` has the ticket of every row, "" for one without; none at all is ().
    `replies` is set on a confident answer to one row: a place where a transport keeps what all of those share.
    """

    model: str
    version: str
    id: str
    answers: Answers
    wanted: tuple[WantedOutput, ...] = ()
    trace_id: str = ""
    span_id: str = ""
    tickets: tuple[str, ...] = ()
    bytes_up: int = 0
    served_ns: int = 0
    reads: str = ""
    replies: dict[str, bytes] | None = None


class Call(Protocol):
    """What a transport knows of the call that brought a request."""

    def metadata(self) -> MetadataPairs:
        """The call's metadata, keys in lower case."""
        ...

    def time_left_s(self) -> float | None:
        """Seconds until the caller's deadline; None when there is none."""
        ...

    def authenticated(self) -> bool:
        """Whether the caller proved who it is (mutual TLS)."""
        ...

    def caller(self) -> str:
        """Who calls: the name that it proved, else its address without the port."""
        ...

    def on_end(self, callback: Callable[[], object]) -> bool:
        """Calls back once when the call ends, also by cancellation; False when it has ended already.

        Of several callbacks for one request only the last need be called.
        """
        ...


class TicketOffice(Protocol):
    """What gives out tickets for questions that nobody was sure of."""

    def issue(
        self, question: str, request: InferRequest, answer: InferAnswer, time_left_s: float | None
    ) -> "Future[tuple[str, ...]]":
        """Keeps the unresolved rows; gives the ticket of every row, as `InferAnswer.tickets` has them.

        The future never fails, and ends soon and well before the caller's time does, whatever the disk does.
        """
        ...

    def reached(self, model: str, facts: Sequence[RowFacts]) -> None:
        """An upstream has answered; never waits."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What an upstream replied to the rows that were escalated to it, in the order they were sent."""

    answers: Answers
    bytes_up: int
    served_ns: int
    reads: frozenset[str] = frozenset()
