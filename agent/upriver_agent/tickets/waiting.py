"""Who waits for tickets: a bounded number of calls, each woken when something that it waits for was closed."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from upriver.errors import QueueFull

MAX_WAITING: Final = 32
"""Calls that wait for an answer, or watch, at a time."""

OnEnd = Callable[[Callable[[], object]], bool]
"""Has a function called when a caller leaves; gives False when it has left already."""


class Waiters:
    """Everybody who waits at one agent."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: dict[str, list[threading.Event]] = {}
        self._inside = 0
        self._closings = 0
        self._over = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those who wait; raises QueueFull when there is none."""
        with self._changed:
            if self._inside >= MAX_WAITING:
                raise QueueFull(f"{MAX_WAITING} calls wait for tickets of this agent already; try again later")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1

    @contextmanager
    def one(self, id_: str) -> Iterator[threading.Event]:
        """An event that is set when this ticket is closed from now on."""
        event = threading.Event()
        with self._changed:
            self._events.setdefault(id_, []).append(event)
            if self._over:
                event.set()
        try:
            yield event
        finally:
            with self._changed:
                self._events[id_].remove(event)
                if not self._events[id_]:
                    del self._events[id_]

    @property
    def closings(self) -> int:
        """How often tickets were closed; look at it before looking for those that were."""
        return self._closings

    @property
    def over(self) -> bool:
        """Whether nobody may wait any more."""
        return self._over

    def next(self, closings: int, gone: Callable[[], bool], timeout_s: float) -> None:
        """Waits until more was closed than at `closings`, the caller is gone, or it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closings != closings or self._over or gone(), timeout_s)

    def stir(self) -> None:
        """Has everybody who waits look whether its caller is gone."""
        with self._changed:
            self._changed.notify_all()

    def wake(self, ids: Iterable[str]) -> None:
        """These tickets were closed."""
        with self._changed:
            self._closings += 1
            for id_ in ids:
                for event in self._events.get(id_, ()):
                    event.set()
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._over = True
            for events in self._events.values():
                for event in events:
                    event.set()
            self._changed.notify_all()
