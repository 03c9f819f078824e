"""What came of a question later, in words."""

from collections.abc import Mapping
from typing import Final

from upriver.tracing import SpanName

_WORDS: Final[Mapping[str, str]] = {
    SpanName.SERVE: "an agent asked it again",
    SpanName.AGAIN: "an operator had it asked again",
    SpanName.TICKET: "its ticket was answered",
    SpanName.PROMOTE: "a head that learnt from it began to answer",
    SpanName.TRAIN: "a version was trained with it",
    SpanName.TRAIN_LESSONS: "a version was trained with it",
    SpanName.ROLLOUT: "what was made of it was rolled out",
}


def happened(name: str) -> str:
    """What a span of this name says that happened; the name itself of one that is none of ours."""
    return _WORDS.get(name, name)
