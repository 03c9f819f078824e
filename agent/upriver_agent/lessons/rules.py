"""What may become a lesson, what counts of lessons that contradict each other, and which go first. Pure."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from upriver_agent import coin
from upriver_agent.resilience.sources import SourceRules, Sources

MAX_CLASSES: Final = 1000
"""Labels of one version that lessons are kept of; those of further labels are not."""
MAX_VOTES: Final = 16
"""Teachers whose word about one content is remembered."""
_MAX_SOURCES: Final = 1024
_OF_A_BATCH: Final = re.compile(r"(q-[0-9a-f]{16}-[0-9a-f]{16})\.([0-9]{1,6})")
_ONE: Final = math.nextafter(1.0, 0.0)


def named(question: str, numbers: Sequence[int], row: int) -> tuple[str, int]:
    """A row's question, and its number at the touch point; `numbers` are those of all rows, none when by index.

    A ticket of a batch's row asks the same row of the same question again.
    """
    number = numbers[row] if numbers else row
    again = _OF_A_BATCH.fullmatch(question)
    return (question, number) if again is None or number else (again[1], int(again[2]))


def draw_of(question: str, numbers: Sequence[int], row: int) -> float:
    """The coin's draw of a row, in [0, 1); of a row that is asked again the lower one of both times.

    Audits may have seen it under either name, and what is in the holdout must never teach.
    """
    number = numbers[row] if numbers else row
    first, at_first = named(question, numbers, row)
    drawn = coin.draw_of_row(coin.number_of(first), at_first)
    if first != question:
        drawn = min(drawn, coin.draw_of_row(coin.number_of(question), number))
    return min(drawn / coin.SPAN, _ONE)


class Quotas:
    """How many lessons each teacher may give and each caller may cause; 0 a minute is no bound.

    `clock` gives the seconds of a clock that is never set. What a minute allows may come at once.
    """

    def __init__(self, teacher_per_min: float, caller_per_min: float, clock: Callable[[], float]) -> None:
        self._teachers = _sources(teacher_per_min)
        self._callers = _sources(caller_per_min)
        self._clock = clock

    def allow(self, teacher: str, caller: str) -> bool:
        """Takes one out of both allowances; False, when one of them has none left."""
        now = self._clock()
        return self._callers.allow(caller, 1, now) and self._teachers.allow(teacher, 1, now)


def _sources(per_min: float) -> Sources:
    return Sources(SourceRules(per_s=per_min / 60.0, burst=max(1.0, per_min), max_sources=_MAX_SOURCES))


def settled(votes: Mapping[str, str], quorum: int) -> str | None:
    """The label that counts for a content, by what each teacher said of it: {teacher: label}; None while none does.

    While nobody contradicts, one teacher is enough; else `quorum` of them must agree, and more than on any other label.
    """
    counts = Counter(votes.values()).most_common(2)
    if len(counts) == 1:
        return counts[0][0]
    if not counts or counts[0][1] < quorum or counts[0][1] == counts[1][1]:
        return None
    return counts[0][0]


def largest_class(sizes: Mapping[tuple[int, str], int]) -> tuple[int, str] | None:
    """The class, by version and label, that has to give something up when there is no room; None when there is none.

    It is the one that takes most: so those that are rare stay whole until all are as rare. Within a class those go
    first to whose label this agent gave the highest probability itself, of equal ones the oldest.
    """
    return max(sizes, key=lambda key: (sizes[key], key), default=None)
