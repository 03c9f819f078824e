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
from numpy.typing import NDArray

from upriver.errors import UpriverError
from upriver.scores import Floats
from upriver.tensors import Array
from upriver_agent.predictor import Prediction
from upriver_agent.serving.loaded import AnswerForm, LoadedVersion

MAX_WAITING = 16
"""Requests that wait for the candidate; more are not compared."""
MAX_FAILED_ROWS = 100
VALUE_TOLERANCE = 0.05
"""Two numbers are the same answer when they differ by at most this share of the larger one."""
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
            same = agreement(self._active.form, prediction, self._candidate.form, other, rows)
        except UpriverError as error:
            # A candidate that fails where the active version answered disagrees.
            _LOG.warning("the candidate failed on a live question: %s", error)
            same = np.zeros(rows, bool)
        self.rows += rows
        self.agreed += int(same.sum())


def agreement(
    form: AnswerForm, prediction: Prediction, other_form: AnswerForm, other: Prediction, rows: int
) -> NDArray[np.bool_]:
    """Which rows two versions of a model answer the same: bool [rows].

    Classes by their label (by index without labels), detections by how many boxes there are of which best class,
    numbers within VALUE_TOLERANCE.
    """
    if prediction.scores is not None and other.scores is not None:
        best, theirs = prediction.scores.argmax(axis=1), other.scores.argmax(axis=1)
        if form.labels and other_form.labels:
            same_label = np.asarray(form.labels)[best] == np.asarray(other_form.labels)[theirs]
            return np.asarray(same_label, bool)
        return np.asarray(best == theirs, bool)
    same = np.ones(rows, bool)
    if form.classes_output and other_form.classes_output:
        mine, yours = prediction.outputs[form.classes_output], other.outputs[other_form.classes_output]
        same &= _first(mine, rows) == _first(yours, rows)
    elif len(form.whole) == 1 and form.whole == other_form.whole:
        (name,) = form.whole
        same &= _close(_first(prediction.outputs[name], rows), _first(other.outputs[name], rows))
    return same


def _first(array: Array, rows: int) -> Floats:
    """Each row's first element: boxes come best first."""
    return array.reshape(rows, -1)[:, 0].astype(np.float64)


def _close(one: Floats, other: Floats) -> NDArray[np.bool_]:
    larger = np.maximum(np.abs(one), np.abs(other))
    return np.abs(one - other) <= VALUE_TOLERANCE * larger
