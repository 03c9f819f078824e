"""The threads under the gRPC server: few that run, more that wait.

More runnable threads than cores only fight for the interpreter lock (measured here: 2 workers cost 200 CPU µs per
bare request, 16 cost 310). A thread that waits for an upstream, for a worker pool or for the next message of a
stream does not run, so while it waits inside `blocking()` another thread takes its place, as fork-join pools do with
managed blockers. A thread that waits where we can't see it (grpcio reads a request's body on the handler's thread,
and a client may be slow to send it) is noticed by a watcher, which lets one more thread run for each such stall.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_STALL_S = 0.02
_SPARE_IDLE_S = 10.0

Job = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ServingExecutor(Executor):
    """An executor with `runnable` running threads, and at most `max_threads` with those that wait."""

    def __init__(self, runnable: int, max_threads: int) -> None:
        if runnable < 1 or max_threads < runnable:
            raise ValueError(
                f"runnable {runnable} and max_threads {max_threads}: expected 1 <= runnable <= max_threads"
            )
        self._base = runnable
        self._target = runnable  # threads that may serve the queue; base + stalls seen
        self._max_threads = max_threads
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._serving = 0  # threads that serve the queue: running a job or waiting for one
        self._threads = 0
        self._spare = threading.Semaphore(0)
        self._spares = 0  # parked threads
        self._finished = 0
        self._closed = False
        self._backlog_seen = threading.Event()
        with self._lock:
            for _ in range(runnable):
                self._add_thread()
        threading.Thread(target=self._watch, name="upriver-watch", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Queues a call; raises RuntimeError after shutdown."""
        if self._closed:
            raise RuntimeError("the serving executor is shut down")
        future: Future[T] = Future()
        self._queue.put((future, fn, args, kwargs))
        if self._queue.qsize() > self._base and not self._backlog_seen.is_set():
            self._backlog_seen.set()
        return future

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Marks that the calling thread waits: another may run meanwhile. Only for threads of this executor."""
        with self._lock:
            self._serving -= 1
            self._fill()
        try:
            yield
        finally:
            with self._lock:
                self._serving += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads once what is queued has run. Does not wait: a thread may be held by a client."""
        del wait, cancel_futures
        with self._lock:
            self._closed = True
            threads = self._threads
        self._backlog_seen.set()
        for _ in range(threads):
            self._queue.put(None)
            self._spare.release()

    @property
    def threads(self) -> int:
        """Threads alive now, parked ones included."""
        return self._threads

    def _fill(self) -> None:
        # Under the lock: makes up for a thread that waits, from the parked ones first.
        if self._serving >= self._target or self._closed:
            return
        if self._spares:
            self._spares -= 1
            self._serving += 1
            self._spare.release()
        elif self._threads < self._max_threads:
            self._add_thread()

    def _add_thread(self) -> None:
        self._threads += 1
        self._serving += 1
        threading.Thread(target=self._serve, name=f"upriver-serve-{self._threads}", daemon=True).start()

    def _serve(self) -> None:
        get = self._queue.get
        while True:
            job = get()
            if job is None:
                break
            _run(*job)
            del job
            self._finished += 1
            if self._serving > self._target and not self._park():
                return
        with self._lock:
            self._serving -= 1
            self._threads -= 1

    def _park(self) -> bool:
        """Steps back while there are more serving threads than wanted; False when the thread should end."""
        with self._lock:
            if self._serving <= self._target or self._closed:
                return True
            self._serving -= 1
            self._spares += 1
        if self._spare.acquire(timeout=_SPARE_IDLE_S):
            return True
        with self._lock:
            if self._spare.acquire(blocking=False):  # woken between the timeout and the lock
                return True
            self._spares -= 1
            self._threads -= 1
        return False

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            self._backlog_seen.wait()
            if self._closed:
                return
            before = self._finished
            pause.wait(_STALL_S)
            with self._lock:
                if self._queue.empty():
                    self._target = self._base
                    self._backlog_seen.clear()
                elif self._finished == before and self._threads < self._max_threads:
                    self._target += 1
                    self._fill()


def _run(future: "Future[Any]", fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - the future carries it to whoever submitted the call
        future.set_exception(error)
    else:
        future.set_result(result)
