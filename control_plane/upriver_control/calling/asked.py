"""A question that was asked once, and what can be done with it: its input be found, and be asked again."""

from dataclasses import dataclass
from typing import Protocol

from upriver.v1 import question_pb2


@dataclass(frozen=True, slots=True)
class Asked:
    """A question at its touch point, as its spans tell it.

    `trace` and `span`, that of its `upriver.serve`, are hexadecimal digits; `agent` is the touch point. `question` is
    empty for one that a first look settled.
    """

    trace: str
    span: str
    question: str
    agent: str
    model: str
    rows: int


class Inputs(Protocol):
    """Finds what was asked."""

    async def find(self, asked: Asked, row: int) -> question_pb2.GetQuestionInputResponse:
        """The input, or why there is none in `unavailable`: that is not an error."""


class Again(Protocol):
    """Asks a question again."""

    async def ask(self, asked: Asked, request: question_pb2.AskAgainRequest) -> question_pb2.AskAgainResponse:
        """The second answer; raises NotNow without an input, and others of ours."""
