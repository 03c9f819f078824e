"""What an agent sends its parent next, and what it makes of the answer. Pure: epochs come from an argument.

The same epoch always has the same content: whatever changes what is sent, or to whom, takes a new one.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeVar

from upriver.errors import InvalidInput
from upriver.pool import MAX_EPOCH, Answer, Pool, Standing

T = TypeVar("T")
MAX_TOLD: Final = MAX_EPOCH // 2
"""Of a higher epoch an agent is told by liars alone: to exceed it would leave it none to go on with."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be sent: the submission of this epoch, whole, or only that it still stands."""

    epoch: int
    whole: bool


class Course:
    """The way up of one agent, `me`."""

    def __init__(self, me: str, new_epoch: Callable[[int], int]) -> None:
        """`new_epoch` gives an epoch above every one that it gave before, in earlier runs too, and above a number."""
        self._me = me
        self._new_epoch = new_epoch
        self._sent: tuple[str, Hashable] | None = None
        self._epoch = 0
        self._above = 0
        self._parent_has_it = False

    def next(self, parent: str, content: Hashable) -> Due:
        """What to send to a parent now; `content` names what would be in it."""
        if self._sent != (parent, content) or self._above >= self._epoch:
            self._epoch = self._new_epoch(self._above)
            self._sent = (parent, content)
            self._parent_has_it = False
        return Due(self._epoch, not self._parent_has_it)

    def answered(self, parent: str, due: Due, answer: Answer) -> None:
        """Takes in what a parent answered to what was sent; raises InvalidInput for what can't be."""
        if self._sent is None or self._sent[0] != parent or due.epoch != self._epoch:
            return  # of something that is over
        newer = self._newer(answer)
        if newer > MAX_TOLD:
            raise InvalidInput(f"it was told that {self._me} is at epoch {newer}: expected at most {MAX_TOLD}")
        self._above = max(self._above, newer)
        self._parent_has_it = answer.standing in (Standing.COUNTED, Standing.STAGED)

    def _newer(self, answer: Answer) -> int:
        told = max(answer.epoch, answer.drop.get(self._me, 0))
        return told if told > self._epoch or (answer.standing is Standing.STALE and told == self._epoch) else 0


def pass_on(pool: Pool[T], me: str, answer: Answer, now: float) -> None:
    """Has those below drop what a parent says is elsewhere."""
    drop = {agent: epoch for agent, epoch in answer.drop.items() if agent != me}
    if drop:
        pool.elsewhere(drop, now)
