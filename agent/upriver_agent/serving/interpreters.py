"""A version's interpreters, shared by all pairs of the version that are loaded, and what each pair has done with them.

Small models run on the thread that asks. Large ones run on a bounded pool of threads, one interpreter each, so that
they never hold a serving thread. Interpreters are leased from a deque, whose pop and append are atomic in CPython.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import log2

from upriver.errors import InferenceFailed, UpriverError
from upriver.tensors import Array
from upriver_agent.predictor import Prediction, Predictor

LATENCY_BUCKETS = 128
"""Bucket b counts runs that took from 2^(b/4) to 2^((b+1)/4) µs; the last one also those that took longer."""
_LOG2_NS_PER_US = log2(1000)
_LEASE_POLL_S = 0.05


class Interpreters:
    """Predictors of one version, leased by their numbers. Whoever makes them is their first user."""

    def __init__(self, make: Callable[[], Predictor], count: int, large: bool, name: str) -> None:
        """Makes `count` of them; those of a `large` model run on threads of their own."""
        self.predictors = tuple(make() for _ in range(count))
        self.free = deque(range(count))
        """The numbers of those that nobody uses now."""
        self.waiting = 0
        """How many threads wait for one."""
        self.workers = ThreadPoolExecutor(count, thread_name_prefix=f"upriver-{name}") if large else None
        self._users = 1
        self._counting = threading.Lock()
        self._returned = threading.Condition()

    def join(self) -> bool:
        """Notes one more user; False when the last one has left already, and others must be made."""
        with self._counting:
            if not self._users:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """Notes that a user has left. After the last one no new work is taken; what was submitted is still done."""
        with self._counting:
            self._users -= 1
            ended = not self._users
        if ended and self.workers is not None:
            self.workers.shutdown(wait=False)

    def wait(self) -> int:
        """A number, when there is one: more threads may run than there are interpreters, just after one came back from
        waiting for an upstream."""
        with self._returned:
            self.waiting += 1
            try:
                while True:
                    try:
                        return self.free.pop()
                    except IndexError:
                        self._returned.wait(_LEASE_POLL_S)
            finally:
                self.waiting -= 1

    def notify(self) -> None:
        """Tells one that waits that a number is free."""
        with self._returned:
            self._returned.notify()


class Lane:
    """One interpreter as one pair uses it, with counters that only its holder touches."""

    __slots__ = ("executions", "failures", "latency", "nanoseconds", "predictor", "rows")

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.executions = 0
        self.rows = 0
        self.nanoseconds = 0
        self.failures = 0
        self.latency = [0] * LATENCY_BUCKETS

    def predict(self, arrays: Mapping[str, Array], rows: int) -> Prediction:
        """Runs the model; raises InvalidInput for undecodable images and InferenceFailed when the runtime fails."""
        start = time.perf_counter_ns()
        try:
            prediction = self.predictor.predict(arrays)
        except UpriverError:
            self.failures += 1
            raise
        except (RuntimeError, ValueError) as error:  # what the interpreters raise
            self.failures += 1
            raise InferenceFailed(f"the model failed on this input: {error}") from error
        elapsed = time.perf_counter_ns() - start
        self.nanoseconds += elapsed
        self.latency[latency_bucket(elapsed)] += 1
        self.executions += 1
        self.rows += rows
        return prediction


def latency_bucket(nanoseconds: int) -> int:
    """The bucket of a run that took so long."""
    if nanoseconds <= 1000:
        return 0
    return min(LATENCY_BUCKETS - 1, int(4 * (log2(nanoseconds) - _LOG2_NS_PER_US)))


class Usage:
    """What an assigned pair and those refined from it have done: by interpreter, and how many rows went up."""

    __slots__ = ("_counting", "escalated_rows", "lanes")

    def __init__(self, interpreters: Interpreters) -> None:
        self.lanes = tuple(Lane(predictor) for predictor in interpreters.predictors)
        self.escalated_rows = 0
        self._counting = threading.Lock()

    def count_escalated(self, rows: int) -> None:
        """Notes that so many rows went up."""
        with self._counting:
            self.escalated_rows += rows
