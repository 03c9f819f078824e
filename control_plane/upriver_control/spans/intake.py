"""The way in: requests wait in a queue bounded in bytes, one thread writes them in groups, then they are answered.

What is answered is committed. What can't be kept is refused at once or as soon as the database says so, and nothing
else of the process waits for it.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from upriver.errors import Draining, InvalidInput, QueueFull, UpriverError
from upriver_control.spans.reading import Read, read
from upriver_control.spans.rows import MAX_REASONS, Group, Parsed, rows_of
from upriver_control.spans.store import SpanStore

_LOG = logging.getLogger(__name__)
MAX_QUEUE_BYTES: Final = 16 << 20
MAX_GROUP: Final = 4096
"""Spans of one commit; one request may bring more."""
MAX_GROUP_BYTES: Final = 4 << 20
_OVERHEAD: Final = 512
"""Bytes that a request which waits takes besides its own."""
_CLOSE_S: Final = 10.0


class Taken(NamedTuple):
    """What came of a request: spans of it that can't be kept, and the first few reasons why."""

    rejected: int
    reasons: tuple[str, ...]


class Counts(NamedTuple):
    """Spans that came since the start: kept, there before, wrong. `refused` are requests that were sent away."""

    received: int = 0
    duplicates: int = 0
    rejected: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Waiting:
    request: bytes
    offset_ns: int
    received_ns: int
    done: "Future[Taken]" = field(default_factory=Future)

    @property
    def bytes(self) -> int:
        return len(self.request) + _OVERHEAD


class Intake:
    """Takes requests from any thread. `trouble` says why spans are refused now, empty while they are not."""

    def __init__(
        self,
        store: SpanStore,
        clock_ns: Callable[[], int] = time.time_ns,
        max_bytes: int = MAX_QUEUE_BYTES,
    ) -> None:
        """`clock_ns` gives nanoseconds since the epoch."""
        self._store = store
        self._clock_ns = clock_ns
        self._max_bytes = max_bytes
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._queued = 0
        self._closed = False
        self._counts = Counts()
        self.trouble = ""
        self.on_questions: Callable[[], None] = _nobody
        """Called on the writing thread when questions were committed; must be quick, and raise nothing."""
        self._thread = threading.Thread(target=self._run, name="upriver-spans", daemon=True)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait."""
        return self._queued

    @property
    def counts(self) -> Counts:
        """What came since the start."""
        return self._counts

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def offer(self, request: bytes, offset_ns: int = 0) -> "Future[Taken]":
        """Takes an `ExportTraceServiceRequest`; what comes out is known when it is committed, or can't be.

        Raises QueueFull and Draining; the future raises InvalidInput, Unreachable and DiskTrouble. `offset_ns` is what
        is added to the sender's times.
        """
        waiting = _Waiting(request, offset_ns, self._clock_ns())
        waiting.done.set_running_or_notify_cancel()  # from here on it is written, whether somebody waits or not
        with self._lock:
            if self._closed:
                raise Draining("the span store is closing")
            if self._queued and self._queued + waiting.bytes > self._max_bytes:
                self._count(refused=1)
                raise QueueFull(f"{self._queued} bytes of spans wait to be written; send them again")
            self._queued += waiting.bytes
            self._queue.put(waiting)
        return waiting.done

    def close(self) -> None:
        """Writes what waits, and ends."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        ended = False
        while not ended:
            first = self._queue.get()
            if first is None:
                return
            group, total = [first], first.bytes
            while total < MAX_GROUP_BYTES:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                    break
                group.append(following)
                total += following.bytes
            self._write(group)
            with self._lock:
                self._queued -= total

    def _write(self, group: Sequence[_Waiting]) -> None:
        opened: list[tuple[_Waiting, Read]] = []
        spans = 0
        for waiting in group:
            try:
                opened.append((waiting, read(waiting.request)))
            except InvalidInput as error:
                waiting.done.set_exception(error)
                continue
            spans += sum(len(batch.spans) for batch in opened[-1][1].batches)
            if spans >= MAX_GROUP:
                self._commit(opened)
                opened, spans = [], 0
        if opened:
            self._commit(opened)

    def _commit(self, opened: Sequence[tuple[_Waiting, Read]]) -> None:
        try:
            parsed = self._keep(opened)
        except UpriverError as error:
            self._tell(str(error))
            with self._lock:
                self._count(refused=len(opened))
            for waiting, _ in opened:
                waiting.done.set_exception(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, callers are answered and the thread goes on
            _LOG.exception("spans can't be written")
            self._tell(f"a fault of the control plane, which its log tells: {type(error).__name__}")
            with self._lock:
                self._count(refused=len(opened))
            for waiting, _ in opened:
                waiting.done.set_exception(error)
            return
        self._tell("")
        for (waiting, had), (rejected, reasons) in zip(opened, parsed, strict=True):
            waiting.done.set_result(Taken(rejected + had.unread, (*had.reasons, *reasons)[:MAX_REASONS]))

    def _keep(self, opened: Sequence[tuple[_Waiting, Read]]) -> list[Taken]:
        """Writes them in one transaction; gives for each what was wrong with its spans."""
        wanted = {batch.origin for _, had in opened for batch in had.batches}
        numbers = self._store.origins(wanted, self._clock_ns()) if wanted else {}
        everything = Parsed([], [], [], [], 0, ())
        taken = []
        for waiting, had in opened:
            groups = [Group(numbers[batch.origin], batch.spans) for batch in had.batches]
            parsed = rows_of(groups, waiting.received_ns, waiting.offset_ns)
            everything.spans.extend(parsed.spans)
            everything.hops.extend(parsed.hops)
            everything.links.extend(parsed.links)
            everything.calls.extend(parsed.calls)
            taken.append(Taken(parsed.rejected, parsed.reasons))
        new = self._store.write(everything) if everything.spans else 0
        if everything.hops:
            self.on_questions()
        came, wrong = len(everything.spans), sum(each.rejected for each in taken) + sum(had.unread for _, had in opened)
        with self._lock:
            self._count(received=new, duplicates=came - new, rejected=wrong)
        return taken

    def _count(self, received: int = 0, duplicates: int = 0, rejected: int = 0, refused: int = 0) -> None:
        """Counts; to be called with the lock held."""
        had = self._counts
        self._counts = Counts(
            had.received + received, had.duplicates + duplicates, had.rejected + rejected, had.refused + refused
        )

    def _tell(self, trouble: str) -> None:
        if trouble and not self.trouble:
            _LOG.warning("spans are refused: %s", trouble)
        elif self.trouble and not trouble:
            _LOG.info("spans are taken again")
        self.trouble = trouble


def _nobody() -> None:
    """Nobody wants to know."""
