"""A question that was asked once, and what can be done with it: its input be found, and be asked again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from upriver.v1 import question_pb2 as pb
from upriver_control.calling.methods import Method

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question at its touch point, as its spans tell it.

    `trace` and `span`, that of its `upriver.serve`, are hexadecimal digits; `agent` is the touch point. `question` is
    empty for one that a first look settled. Whoever may send spans has written this: it says what is looked for, and
    never where somebody is called.
    """

    trace: str
    span: str
    question: str
    agent: str
    model: str
    rows: int


class Calls(Protocol):
    """As `Agents` calls."""

    async def call(
        self, agent: str, method: Method[Q, R], request: Q, timeout_s: float, metadata: Sequence[tuple[str, str]] = ()
    ) -> R:
        """Calls an agent, with metadata that is not secret; raises UpriverError."""
        ...


class Inputs(Protocol):
    """Finds what was asked."""

    async def find(self, asked: Asked, row: int) -> pb.GetQuestionInputResponse:
        """One row, or why it can't be shown in `unavailable`; raises InvalidInput for a row that there is not."""
        ...


class Again(Protocol):
    """Asks again."""

    async def ask(self, asked: Asked, request: pb.AskAgainRequest) -> pb.AskAgainResponse:
        """Another answer; raises NotNow when the input is not to be had, and UpriverErrors for whom is asked."""
        ...
