"""How a version's answers are watched from the hot path: a coin for each question, and whether the alarm has rung.

Whether a question is noticed depends on its number alone. What is noticed goes to whoever watches, as references to
what is there anyway; nothing is copied, and nobody waits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from upriver.scores import Floats
from upriver.tensors import Array
from upriver_agent import coin
from upriver_agent.merge import Answers
from upriver_agent.monitoring.monitor import Report
from upriver_agent.predictor import Prediction
from upriver_agent.serving.request import InferRequest

if TYPE_CHECKING:
    from upriver_agent.serving.loaded import LoadedVersion

LOOKED_AT: Final = 1 / 16
"""The share of questions whose confidence is looked at, for signs of drift; it leaves the agent never."""
_LOOK_LIMIT: Final = coin.limit(LOOKED_AT)
_FIRST_ROW: Final = np.zeros(1, dtype=np.intp)
_FIRST_ROW.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Noticed:
    """A request some of whose rows the coin fell for: `audited` are their indices, `rows` what numbers these rows had
    at the touch point, `draws` their draws.

    `question` is its id, empty when it has none yet; `brought` says that a client brought it, if need be past alarms.
    `prediction` and `confidence` are this agent's own, `answers` what the caller got. `budget` is how many bytes the
    question may still send up, None for no limit.
    """

    loaded: "LoadedVersion"
    request: InferRequest
    arrays: Mapping[str, Array]
    number: int
    question: str
    brought: bool
    budget: int | None
    audited: NDArray[np.intp]
    rows: Sequence[int]
    draws: NDArray[np.uint64]
    prediction: Prediction
    confidence: Floats
    answers: Answers


@dataclass(frozen=True, slots=True)
class WatchFacts:
    """What is reported of a watch: the monitor's report, cases that wait for the top and that were dropped since the
    start, and why audits can't be made now, empty when they can."""

    report: Report
    waiting: int = 0
    dropped: int = 0
    trouble: str = ""


class Watch:
    """One pair under watch.

    `take` gets what is to be audited, `look` some confidences [n]; neither may wait. `facts` says how things stand.
    """

    __slots__ = ("_audit_limit", "_look", "_take", "alarmed", "facts", "limit", "rate")

    def __init__(
        self, take: Callable[[Noticed], None], look: Callable[[Floats], None], facts: Callable[[], WatchFacts]
    ) -> None:
        self._take = take
        self._look = look
        self.facts = facts
        self.alarmed = False
        """Nothing that this pair says is believed: everything goes up."""
        self.rate = 0.0
        """The share of questions that is audited; see `audit`."""
        self.limit = _LOOK_LIMIT
        """A question of one row whose draw is not below it need not be noticed."""
        self._audit_limit = 0

    def audit(self, rate: float) -> None:
        """Has this share of questions audited from now on."""
        self._audit_limit = coin.limit(rate)
        self.limit = max(self._audit_limit, _LOOK_LIMIT)
        self.rate = rate

    def notice(
        self,
        loaded: "LoadedVersion",
        request: InferRequest,
        arrays: Mapping[str, Array],
        number: int,
        question: str,
        rows: Sequence[int],
        brought: bool,
        budget: int | None,
        prediction: Prediction,
        confidence: Floats,
        answers: Answers,
    ) -> None:
        """Tosses for every row of a request that was answered; `rows` as the envelope has them."""
        if len(confidence) == 1 and not rows:  # a third of the time that arrays of one row take
            draw = coin.draw(number)
            if draw < _LOOK_LIMIT:
                self._look(confidence)
            if draw >= self._audit_limit:
                return
            draws, audited = np.array((draw,), dtype=np.uint64), _FIRST_ROW
        else:
            draws = coin.draws(number, rows or range(len(confidence)))
            looked = draws < np.uint64(_LOOK_LIMIT)
            if looked.any():
                self._look(confidence[looked])
            last = np.uint64(min(self._audit_limit, coin.SPAN - 1))
            audited = np.flatnonzero((draws < last) | (self._audit_limit == coin.SPAN))
        if len(audited):
            self._take(
                Noticed(
                    loaded=loaded,
                    request=request,
                    arrays=arrays,
                    number=number,
                    question=question,
                    brought=brought,
                    budget=budget,
                    audited=audited,
                    rows=[rows[index] for index in audited.tolist()] if rows else audited.tolist(),
                    draws=draws[audited],
                    prediction=prediction,
                    confidence=confidence,
                    answers=answers,
                )
            )
