"""Running a candidate beside the active version on live questions, after their answers have gone out.

The thread that answers only puts a reference into a bounded queue, or drops it when the candidate can't keep up. What
the candidate says is compared and thrown away.
"""

import logging
import threading
import time
from collections.abc import Mapping
from queue import Empty, SimpleQueue

import numpy as np

from upriver.errors import UpriverError
from upriver.tensors import Array
from upriver_agent.predictor import Prediction
from upriver_agent.serving.answered import answered
from upriver_agent.serving.loaded import AnswerForm, LoadedVersion

MAX_WAITING = 16
"""Requests that wait for the candidate; more are not compared."""
_LOG = logging.getLogger(__name__)
_Job = tuple[Mapping[str, Array], int, Prediction]


class Shadow:
    """Compares a candidate with the active version until `rows` rows were compared or `seconds` have passed."""

    def __init__(self, active: LoadedVersion, candidate: LoadedVersion, rows: int, seconds: float) -> None:
        self.rows = 0
        self.agreed = 0
        self._active = active
        self._candidate = candidate
        self._wanted = rows
        self._seconds = seconds
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._ended = threading.Event()

    def offer(self, arrays: Mapping[str, Array], rows: int, prediction: Prediction) -> None:
        """Gives a question and the active version's answer to it; never waits."""
        if self._jobs.qsize() < MAX_WAITING:
            self._jobs.put((arrays, rows, prediction))

    def cancel(self) -> None:
        """Ends it early, from any thread."""
        self._ended.set()
        self._jobs.put(None)

    def run(self) -> bool:
        """Compares until it ends, on the calling thread; False when it was cancelled."""
        deadline = time.monotonic() + self._seconds
        self._active.shadow = self
        try:
            while not self._ended.is_set() and not 0 < self._wanted <= self.rows:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                try:
                    job = self._jobs.get(timeout=left)
                except Empty:
                    break
                if job is not None:
                    self._compare(*job)
        finally:
            self._active.shadow = None
        return not self._ended.is_set()

    def _compare(self, arrays: Mapping[str, Array], rows: int, prediction: Prediction) -> None:
        try:
            found = self._candidate.predict(arrays, rows)
            other = found if isinstance(found, Prediction) else found.result()
            same = self._active.policy.document.agreement(
                answered(self._candidate.form, told(other, self._candidate.form)),
                answered(self._active.form, told(prediction, self._active.form)),
            )
        except (UpriverError, ValueError) as error:
            # A candidate that fails where the active version answered disagrees.
            _LOG.warning("the candidate failed on a live question: %s", error)
            same = np.zeros(rows, bool)
        self.rows += rows
        self.agreed += int(same.sum())


def told(prediction: Prediction, form: AnswerForm) -> dict[str, Array]:
    """A prediction's outputs as callers are told them."""
    if prediction.scores is None or not form.scores_output:
        return dict(prediction.outputs)
    return {**prediction.outputs, form.scores_output: prediction.scores}
