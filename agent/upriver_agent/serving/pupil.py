"""How a version's escalations are listened to: what came back resolved goes, by reference, to whoever learns from it.

On the way of the answer nothing is copied, written or waited for.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from upriver.scores import Floats
from upriver_agent.merge import Answers
from upriver_agent.predictor import Prediction
from upriver_agent.serving.request import InferRequest
from upriver_agent.telemetry import NOWHERE, Origin

if TYPE_CHECKING:
    from upriver_agent.serving.loaded import LoadedVersion


class Heard(NamedTuple):
    """A request some of whose rows were answered above: `escalated` are their indices, `numbers` what all rows were
    called at the touch point (none: by their indices).

    `prediction` is what this version said by itself, `answers` what the caller gets; `request` is None unless its
    caller lets its input be kept. `source` gives who asked us, `origin` the span here.

    A named tuple and no dataclass: one is made on the way of an answer.
    """

    loaded: "LoadedVersion"
    question: str
    numbers: Sequence[int]
    escalated: NDArray[np.intp]
    prediction: Prediction
    confidence: Floats
    answers: Answers
    request: InferRequest | None
    source: str
    origin: Origin = NOWHERE


class Pupil:
    """One version that learns. `take` gets what was heard, and must not wait; `keeps` says whether inputs are kept."""

    __slots__ = ("_take", "keeps")

    def __init__(self, take: Callable[[Heard], None], keeps: bool) -> None:
        self._take = take
        self.keeps = keeps

    def hear(
        self,
        loaded: "LoadedVersion",
        question: str,
        numbers: Sequence[int],
        escalated: NDArray[np.intp],
        prediction: Prediction,
        confidence: Floats,
        answers: Answers,
        request: InferRequest,
        source: str,
        origin: Origin,
    ) -> None:
        """Rows were answered above, or not: whoever takes it sees which."""
        kept = request if self.keeps and request.options.learn else None
        self._take(Heard(loaded, question, numbers, escalated, prediction, confidence, answers, kept, source, origin))
