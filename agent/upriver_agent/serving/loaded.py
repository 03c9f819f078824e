"""One version, loaded: its interpreters, its policy, its contract.

Small models run on the thread that asks. Large ones run on a bounded pool of threads, one interpreter each, so that
they never hold a serving thread. Interpreters are leased from a deque, whose pop and append are atomic in CPython.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

from upriver.errors import InferenceFailed, UpriverError
from upriver.scores import Floats
from upriver.tensors import Array
from upriver_agent.policy import Policy
from upriver_agent.predictor import Prediction, Predictor
from upriver_agent.serving.contract import Contract
from upriver_agent.versions import Version

if TYPE_CHECKING:
    from upriver_agent.serving.fusing import Fuser
    from upriver_agent.serving.shadow import Shadow
    from upriver_agent.serving.watch import Watch

LATENCY_BUCKETS = 128
"""Bucket b counts runs that took from 2^(b/4) to 2^((b+1)/4) µs; the last one also those that took longer."""
_LOG2_NS_PER_US = log2(1000)
_LEASE_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """An output as callers see it: protocol data type and one row's shape (-1 is any size)."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What a version's outputs mean, as `merge.Answers` has it; the last four are parts of the answer by name."""

    labels: tuple[str, ...] = ()
    scores_output: str = ""
    scores_are_logits: bool = False
    classes_output: str = ""
    whole: frozenset[str] = frozenset()
    boxes_output: str = ""
    box_scores_output: str = ""
    count_output: str = ""
    value_output: str = ""


class Lane:
    """One interpreter with the counters that only its holder touches."""

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


class LoadedVersion:
    """A version that answers."""

    def __init__(
        self,
        version: Version,
        policy: Policy,
        contract: Contract,
        outputs: tuple[OutputSpec, ...],
        form: AnswerForm,
        score: Callable[[Prediction], Floats],
        make_predictor: Callable[[], Predictor],
        interpreters: int,
        large: bool,
        fuse: "Fuser | None" = None,
    ) -> None:
        self.version = version
        self.policy = policy
        self.contract = contract
        self.outputs = outputs
        self.form = form
        self.model = version.manifest.model
        self.name = version.manifest.version
        self.fixed_outputs = all(size >= 0 for output in outputs for size in output.shape)
        self.replies: dict[str, bytes] = {}
        """For transports: what is the same in all confident answers to one row, kept ready."""
        self.score = score
        self.fuse = fuse
        """What its policy does with answers from below; None when it goes by its own."""
        self.large = large
        self.shadow: Shadow | None = None
        """What compares this version's answers with those of the one that is to replace it, while there is one."""
        self.watch: Watch | None = None
        """What tosses the coin for this version's answers, and knows whether the alarm has rung; None: nobody does."""
        self.unwatched = ""
        """Why nobody does."""
        self.escalated_rows = 0
        self._counting = threading.Lock()
        self._lanes = tuple(Lane(make_predictor()) for _ in range(interpreters))
        self._free = deque(self._lanes)
        self._returned = threading.Condition()
        self._waiting = 0
        self._workers = (
            ThreadPoolExecutor(interpreters, thread_name_prefix=f"upriver-{version.manifest.model}") if large else None
        )

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All interpreters, for statistics."""
        return self._lanes

    def count_escalated(self, rows: int) -> None:
        """Notes that so many rows went up."""
        with self._counting:
            self.escalated_rows += rows

    def predict(self, arrays: Mapping[str, Array], rows: int) -> Prediction | Future[Prediction]:
        """Runs the model now, or for a large model soon on a worker."""
        if self._workers is not None:
            try:
                return self._workers.submit(self._predict, arrays, rows)
            except RuntimeError:
                # Closed by a swap after the caller read the slot: its interpreters are still whole.
                return self._predict(arrays, rows)
        return self._predict(arrays, rows)

    def close(self) -> None:
        """Takes no more work; what was submitted is still done."""
        if self._workers is not None:
            self._workers.shutdown(wait=False)

    def _predict(self, arrays: Mapping[str, Array], rows: int) -> Prediction:
        try:
            lane = self._free.pop()
        except IndexError:
            lane = self._wait_for_lane()
        try:
            return lane.predict(arrays, rows)
        finally:
            self._free.append(lane)
            if self._waiting:
                with self._returned:
                    self._returned.notify()

    def _wait_for_lane(self) -> Lane:
        # Rare: more threads run than there are interpreters, just after one came back from waiting for an upstream.
        with self._returned:
            self._waiting += 1
            try:
                while True:
                    try:
                        return self._free.pop()
                    except IndexError:
                        self._returned.wait(_LEASE_POLL_S)
            finally:
                self._waiting -= 1
