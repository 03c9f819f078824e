"""A head in the place of a version's own last layer: see `upriver.heads`. Used on the hot path, by many threads."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InferenceFailed, ModelInvalid
from upriver.head_statistics import HeadStatistics, read_statistics
from upriver.heads import Head, write_head
from upriver.heads import logits as logits_of
from upriver.listing import PRIOR
from upriver.listing import digest as digest_of
from upriver.policies import PolicyDocument
from upriver_agent.predictor import Prediction
from upriver_agent.versions.golden import read_arrays
from upriver_agent.versions.manifest import ScoresAre, TaskKind
from upriver_agent.versions.store import Version

NO_EMBEDDING: Final = "its manifest names no outputs.embedding, which a head would be on"

_PLAIN: Final = 60.0
"""Logits of at most this size need not be shifted for their exponentials to be well within what 32 bits hold."""


class BoundHead:
    """A head joined to its version: makes the scores of a prediction anew. Immutable."""

    __slots__ = ("_across", "_are_logits", "_bias", "_ones", "_scores", "_weights", "_width", "labels")

    def __init__(self, head: Head, scores: str, are_logits: bool) -> None:
        """`scores` is the name of the output that is replaced, by logits or probabilities."""
        self.labels = head.labels
        self._scores = scores
        self._are_logits = are_logits
        self._width = head.width
        self._weights = head.weights()
        self._across = np.ascontiguousarray(self._weights[:-1].T)
        self._bias = self._weights[-1].copy()
        self._ones = np.ones((len(head.labels), 1), np.float32)

    def __call__(self, prediction: Prediction) -> Prediction:
        """The prediction with the head's scores, float32 [rows, labels]; its dictionary of outputs is changed.

        Raises InferenceFailed when the embedding has not the head's width.
        """
        embedding = prediction.embedding
        if embedding is None or embedding.size != len(embedding) * self._width:
            told = "missing" if embedding is None else f"{list(embedding.shape)}"
            raise InferenceFailed(f"the model's embedding is {told}; its head is on one of {self._width}")
        scores = self._of_row(embedding) if len(embedding) == 1 else self._of_rows(embedding)
        prediction.outputs[self._scores] = scores
        return Prediction(scores, embedding, prediction.outputs)

    def _of_row(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """One row's: BLAS where NumPy would start a reduction, no numbers that it would have to convert."""
        z: NDArray[np.float32] = self._across.dot(embedding.astype(np.float32, copy=False).reshape(-1))
        z += self._bias
        if not self._are_logits:
            largest = z.item(z.argmax())  # finds a NaN first
            if not math.isfinite(largest):
                return np.full((1, len(z)), math.nan, np.float32)
            if not -_PLAIN < largest < _PLAIN:
                z -= largest
            np.exp(z, z)
            z /= z.dot(self._ones)
        return z.reshape(1, -1)

    def _of_rows(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore"):  # inf - inf: such a row becomes NaN, which is never confident
            z = logits_of(self._weights, embedding.astype(np.float32, copy=False).reshape(len(embedding), -1))
            if not self._are_logits:
                z -= z.max(axis=1, keepdims=True)
                np.exp(z, z)
                z /= z.sum(axis=1, keepdims=True)
        return z


def bind_head(version: Version, policy: PolicyDocument, head: Head | None) -> BoundHead | None:
    """Joins the head that a policy names to the version; None when it names none.

    Raises ModelInvalid when it is not exactly this head, when it is not of this version, and for one too many or none.
    """
    if not policy.head:
        if head is not None:
            raise ModelInvalid("the policy names no head: expected none")
        return None
    name = f"{version.manifest.model}/{version.manifest.version}"
    problem = problem_of(version)
    if problem:
        raise ModelInvalid(f"{name}: the policy names a head, and {problem}")
    if head is None:
        raise ModelInvalid(f"{name}: the policy names head {policy.head}, which is not here")
    found = digest_of(write_head(head))
    if found != policy.head:
        raise ModelInvalid(f"{name}: the policy names head {policy.head}; this one is {found}")
    return join_head(version, head)


def join_head(version: Version, head: Head) -> BoundHead:
    """Joins a head to the version that it is of; raises ModelInvalid when it does not fit."""
    name = f"{version.manifest.model}/{version.manifest.version}"
    problem = problem_of(version)
    if problem:
        raise ModelInvalid(f"{name}: it can't answer with a head: {problem}")
    if head.version_digest != version.digest:
        raise ModelInvalid(f"{name}: the head is of version {head.version_digest}; expected {version.digest}")
    width = embedding_width(version)
    if head.width != width:
        raise ModelInvalid(f"{name}: the head is on an embedding of {head.width}; the version's has {width}")
    if head.labels[: len(version.labels)] != version.labels:
        raise ModelInvalid(f"{name}: the head's labels do not begin with those of the version")
    outputs = version.manifest.outputs
    return BoundHead(head, outputs.scores or "", outputs.scores_are is ScoresAre.LOGITS)


def problem_of(version: Version) -> str:
    """Why a version can have no head, in words; empty when it can."""
    if version.manifest.task.kind is not TaskKind.CLASSIFY:
        return f"its task is {version.manifest.task.kind.value}: only classifiers have heads"
    if version.manifest.outputs.embedding is None:
        return NO_EMBEDDING
    if embedding_width(version) is None:
        return "its embedding has no fixed size"
    if len(set(version.labels)) != len(version.labels):
        return "some of its labels are the same"
    return ""


def read_prior(version: Version) -> HeadStatistics | None:
    """The sums over the version's training set, which heads on it start from; None when it has no `prior.npz`.

    Raises ModelInvalid when they are not of this version: another width, other labels, or sums that no lessons make.
    """
    path = version.folder / PRIOR
    if not path.exists():
        return None
    problem = problem_of(version)
    if problem:
        raise ModelInvalid(f"{PRIOR}: nothing can be learnt on this version: {problem}")
    prior = read_statistics(read_arrays(path))
    if prior.width != embedding_width(version):
        raise ModelInvalid(f"{PRIOR}: on an embedding of {prior.width}; the version's has {embedding_width(version)}")
    if prior.labels != version.labels:
        raise ModelInvalid(f"{PRIOR}: its labels are not those of the version, in their order")
    if prior.lessons < 1.0 or (np.diag(prior.outer) < 0.0).any():
        raise ModelInvalid(f"{PRIOR}: sums of {prior.lessons:g} lessons; expected at least one, and no squares below 0")
    return prior


def embedding_width(version: Version) -> int | None:
    """How many numbers the version's embedding has; None without one, or when its size is not fixed."""
    name = version.manifest.outputs.embedding
    for bound in version.binding.outputs:
        if name is not None and bound.name == name:
            return math.prod(bound.row_shape) if all(size > 0 for size in bound.row_shape) else None
    return None
