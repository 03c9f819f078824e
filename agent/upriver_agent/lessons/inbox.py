"""What was heard and waits for its turn: bounded, and putting in never waits."""

import threading
from queue import Empty, SimpleQueue
from typing import Final

from upriver_agent.lessons.making import Told
from upriver_agent.serving.pupil import Heard

MOST: Final = 1024
MOST_BYTES: Final = 16 << 20
"""Of what waits; beyond it what comes is dropped, whatever it is."""


class Inbox:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self.dropped = 0
        """Rows that there was no room for."""
        self._queue: SimpleQueue[tuple[Heard | Told, int] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._bytes = 0
        self._count = 0

    def hear(self, heard: Heard) -> None:
        """Takes in what was answered above, or drops it when there is no room."""
        said = heard.prediction
        size = 0 if said.embedding is None else said.embedding.nbytes
        if said.scores is not None:
            size += 2 * said.scores.nbytes  # ours, and as many that were merged into them
        if heard.request is not None:
            for tensor in heard.request.inputs.values():
                array = tensor.array
                size += array.nbytes if array.dtype.kind != "O" else sum(map(len, array.reshape(-1).tolist()))
        self._put(heard, size, len(heard.escalated))

    def tell(self, told: Told) -> None:
        """Takes in a late answer, or drops it when there is no room."""
        self._put(told, len(told.question) + len(told.reply), 1)

    def wake(self) -> None:
        """Has whoever waits look up."""
        self._queue.put(None)

    def get(self, timeout_s: float) -> Heard | Told | None:
        """The next one, None when there is none in time or whoever waits was woken."""
        try:
            found = self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
            while found is None and timeout_s <= 0:
                found = self._queue.get_nowait()
        except Empty:
            return None
        if found is None:
            return None
        with self._lock:
            self._count -= 1
            self._bytes -= found[1]
        return found[0]

    def _put(self, item: Heard | Told, size: int, rows: int) -> None:
        with self._lock:
            if self._count >= MOST or (self._count and self._bytes + size > MOST_BYTES):
                self.dropped += rows
                return
            self._count += 1
            self._bytes += size
        self._queue.put((item, size))
