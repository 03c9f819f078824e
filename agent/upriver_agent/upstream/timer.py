"""One thread that calls back at given times, for all questions that wait for something."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Appointment:
    """A call back that is due; `cancel` makes it none."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Has it not called, unless it is being called now; no effect afterwards."""
        self.callback = None


class Timer:
    """Calls back on a thread of its own, which starts with the first appointment. Callbacks must not block."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Appointment]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def at(self, when_s: float, callback: Callable[[], None]) -> Appointment:
        """Has `callback` called at a time of the clock, at once if that is over. After `close` nothing is called."""
        appointment = Appointment(callback)
        with self._changed:
            heapq.heappush(self._due, (when_s, next(self._numbers), appointment))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="upriver-timer", daemon=True)
                self._thread.start()
            elif self._due[0][2] is appointment:
                self._changed.notify()
        return appointment

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(1.0)

    def _run(self) -> None:
        while (callback := self._next()) is not None:
            try:
                callback()
            except Exception:  # noqa: BLE001 - whose it is can't be known here; it is logged
                _LOG.exception("a call back failed; the others go on")

    def _next(self) -> Callable[[], None] | None:
        """Waits for the next that is due; None when the timer is closed."""
        with self._changed:
            while not self._closed:
                while self._due and self._due[0][2].callback is None:
                    heapq.heappop(self._due)
                wait_s = self._due[0][0] - self._clock() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    callback = heapq.heappop(self._due)[2].callback
                    if callback is not None:
                        return callback
                    continue
                self._changed.wait(wait_s)
        return None
