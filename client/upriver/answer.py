"""What a client gets back: an answer with the facts of how it was reached, and what an agent says of its models."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from upriver.parameters import Reason
from upriver.tensors import Array


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The answer to one question, which is one row of a request.

    A fact that the agent did not tell is None (texts: ""), never a guess; a server that is no Upriver agent tells none.
    `trace_id` and `latency_s` belong to the request and are the same for all rows of a batch.
    """

    model: str
    version: str
    label: str | None
    """The most probable label; None when the model has no labels or does not classify."""
    index: int | None
    """The column of the most probable label; None when the model does not classify or gave no probabilities (NaN)."""
    labels: tuple[str, ...] = field(repr=False)
    """Names of the columns of a classifier; for a detector, what its class numbers stand for."""
    probabilities: NDArray[np.float64] | None = field(repr=False)
    """One per column, shape [classes]. Logits are put through a softmax at temperature 1."""
    confidence: float | None
    """How sure the model that answered was, by its policy's score; -inf is never sure."""
    resolved: bool | None
    """Whether the tier that answered was confident. False: this is the best guess there is."""
    tier: str
    agent: str
    path: tuple[str, ...]
    """The agents that worked on it, the touch point first."""
    reason: Reason | None
    """Why it ended where it did."""
    degraded: bool | None
    """Whether a higher tier should have been asked and could not be."""
    trace_id: str
    """32 hexadecimal digits; "" when the question was not traced."""
    ticket: str
    """The handle through which a later answer comes back; "" when there is none."""
    policy: str
    """Digest of the policy that judged it."""
    fused: bool | None
    """Whether answers of tiers below went into it; a batch tells it when it is asked for the output `upriver.fused`."""
    outputs: Mapping[str, Array] = field(repr=False)
    """Every output of the model by name, this row's part of it (without the dimension of rows)."""
    latency_s: float
    """Seconds from asking to the answer, retries included."""

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The `count` most probable labels with their probabilities; columns without a name are told by number."""
        if self.probabilities is None:
            return []
        best = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return [(self.label_of(column), float(self.probabilities[column])) for column in best]

    def label_of(self, column: int) -> str:
        """The name of a column, or its number when it has none."""
        return self.labels[column] if column < len(self.labels) else str(column)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model: protocol data type and the shape of one row, where -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        sizes = "".join(f", {'any' if size < 0 else size}" for size in self.shape)
        return f"{self.name} ({self.datatype} [rows{sizes}])"


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model's contract: what it takes and gives."""

    model: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model that an agent is configured with; `problem` says why it is not ready."""

    model: str
    version: str
    ready: bool
    problem: str
