"""What waits in memory: spans of questions that are always kept, and those of ordinary ones, which go first."""

import threading
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

MAX_BATCH: Final = 192
"""Spans of one export: as many as usually are within its bytes."""


class Worth(IntEnum):
    """What is dropped first has the lowest."""

    ORDINARY = 0
    IMPORTANT = 1  # escalated, degraded, unresolved or failed, and what happened later


class Lanes:
    """Two queues with one bound. Full, the oldest ordinary span goes, or the oldest important one when none is left.

    Safe to share between threads; whoever puts a span in never waits for more than another's putting in.
    """

    def __init__(self, most: int) -> None:
        """At most `most` spans wait in both together."""
        self.dropped = dict.fromkeys(Worth, 0)
        """Spans that had no room, since the start."""
        self._most = most
        self._batch = min(most, MAX_BATCH)
        self._waiting: dict[Worth, deque[ReadableSpan]] = {worth: deque() for worth in Worth}
        self._changed = threading.Condition()
        self._over = False

    def lane(self, worth: Worth) -> "Lane":
        """Where spans of this worth are put in."""
        return Lane(self, worth)

    def put(self, worth: Worth, span: "ReadableSpan") -> None:
        """Has a span wait; one of less worth, or else an older one, goes if there is no room."""
        with self._changed:
            count = self._count()
            if count >= self._most:
                first = Worth.ORDINARY if self._waiting[Worth.ORDINARY] else Worth.IMPORTANT
                if first > worth:  # nothing of less worth waits
                    self.dropped[worth] += 1
                    return
                self._waiting[first].popleft()
                self.dropped[first] += 1
            self._waiting[worth].append(span)
            if count in (0, self._batch - 1):
                self._changed.notify_all()

    def take(self) -> "list[tuple[Worth, list[ReadableSpan]]]":
        """Takes the oldest of at most a batch out of either queue, important ones first; empty lists where none wait.

        Of both at once: else ordinary ones would wait for as long as important ones keep coming.
        """
        with self._changed:
            waiting = [(worth, self._waiting[worth]) for worth in (Worth.IMPORTANT, Worth.ORDINARY)]
            return [(worth, [lane.popleft() for _ in range(min(MAX_BATCH, len(lane)))]) for worth, lane in waiting]

    def wait(self, timeout_s: float | None) -> None:
        """Waits until a span waits, the time is over, or `end` was called."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._count() > 0, timeout_s)

    def gather(self, timeout_s: float) -> None:
        """Waits until there is a batch, the time is over, or `end` was called."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._count() >= self._batch, timeout_s)

    def end(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def waiting(self) -> dict[Worth, int]:
        """How many wait, by worth."""
        with self._changed:
            return {worth: len(lane) for worth, lane in self._waiting.items()}

    def __len__(self) -> int:
        with self._changed:
            return self._count()

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))


class Lane:
    """A span processor as the SDK wants it, which puts what has ended into a lane."""

    def __init__(self, lanes: Lanes, worth: Worth) -> None:
        self._lanes = lanes
        self._worth = worth

    def on_start(self, span: "Span", parent_context: "Context | None" = None) -> None:
        """Nothing is done before a span has ended."""

    def _on_ending(self, span: "Span") -> None:
        """Nothing is added to a span that ends; the SDK calls this."""

    def on_end(self, span: "ReadableSpan") -> None:
        """A span has ended."""
        self._lanes.put(self._worth, span)

    def shutdown(self) -> None:
        """Nothing is held here."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        del timeout_millis
        return True
