"""Questions that come while somebody looks: which of them he wants, each told once. Pure.

Spans of one question come from several agents, one after the other; whether it is wanted may only be known when the
last of them is here. So the latest questions are remembered with all their hops.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from upriver_control.spans.filters import Filter, conditions, matches
from upriver_control.spans.rows import HopRow

MAX_TRACES: Final = 4000
"""Traces that are remembered; the latest."""
MAX_TOLD: Final = 50
"""Questions that one message has."""
_MAX_KNOWN: Final = 10_000

Hops = dict[bytes, HopRow]


class News(NamedTuple):
    """Questions for one who looks, newest first, and how many came and were left out."""

    questions: tuple[HopRow, ...]
    skipped: int


class Latest:
    """The latest traces, each with its hops."""

    def __init__(self, most: int = MAX_TRACES) -> None:
        self._most = most
        self._traces: OrderedDict[bytes, Hops] = OrderedDict()

    def add(self, rows: Iterable[HopRow]) -> list[Hops]:
        """Takes in hops; gives the traces that have a new one, each with all hops that are known of it."""
        changed: dict[bytes, Hops] = {}
        for row in rows:
            known = self._traces.setdefault(row.trace, {})
            if row.span not in known:
                known[row.span] = row
                changed[row.trace] = known
                self._traces.move_to_end(row.trace)
        while len(self._traces) > self._most:
            self._traces.popitem(last=False)
        return list(changed.values())

    def threshold(self, row: HopRow) -> float | None:
        """What who answered a question held its answer against, if that is known."""
        known = self._traces.get(row.trace, {})
        return next((hop.threshold for hop in known.values() if hop.agent == row.answered_by), None)


class Wanted:
    """What one who looks wants and has not been told yet."""

    def __init__(self, wanted: Filter) -> None:
        self._conditions = conditions(wanted)
        self._known: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()
        self._waiting: list[HopRow] = []
        self._skipped = 0

    def offer(self, traces: Iterable[Hops], skipped: int = 0) -> None:
        """Takes what is wanted of traces that have something new; `skipped` came besides, and nobody looked at it."""
        self._skipped += skipped
        for hops in traces:
            rows = tuple(hops.values())
            for row in rows:
                key = (row.trace, row.span)
                if key not in self._known and matches(self._conditions, row, rows):
                    self._known[key] = None
                    self._waiting.append(row)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        if len(self._waiting) > MAX_TOLD:
            self._waiting.sort(key=_newest)
            self._skipped += len(self._waiting) - MAX_TOLD
            del self._waiting[MAX_TOLD:]

    def take(self) -> News:
        """What waits; and then nothing does."""
        news = News(tuple(sorted(self._waiting, key=_newest)), self._skipped)
        self._waiting, self._skipped = [], 0
        return news


def _newest(row: HopRow) -> int:
    return -row.at_ns
