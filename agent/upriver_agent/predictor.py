"""One version on one interpreter: canonical rows in, scores and outputs out. Used on the hot path, by one thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.errors import InvalidInput, ModelInvalid
from upriver_agent.preprocess import make_plan
from upriver_agent.runtime import Runtime, RuntimeKind, TensorInfo, open_runtime
from upriver_agent.versions import Version
from upriver_agent.versions.binding import BoundOutput
from upriver_agent.versions.manifest import TaskKind
from upriver_agent.versions.model_file import ModelTensor

Array = NDArray[Any]

ROWS_BYTES: Final = 128 << 20
"""What the tensors of the rows that go through a model together may take, about."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said for each row.

    `scores` is [rows, classes], probabilities or logits as the manifest says, and None unless the task is `classify`.
    `outputs` has every output, [rows, ...], under the manifest's name for it (else the flatbuffer's). Quantised tensors
    are dequantised to float32.
    """

    scores: NDArray[np.floating[Any]] | None
    embedding: NDArray[np.float32] | None
    outputs: dict[str, Array] = field(default_factory=dict)


class Predictor:
    """Preprocess, infer, dequantise. Not thread-safe: one for each worker."""

    __slots__ = (
        "_dequantise",
        "_embedding",
        "_most",
        "_names",
        "_plans",
        "_runtime",
        "_scores",
        "_sources",
        "_tensors",
        "version",
    )

    def __init__(self, version: Version, runtime: Runtime) -> None:
        """Joins a version and a runtime that has opened its model; raises ModelInvalid when they do not agree."""
        self.version = version
        self._runtime = runtime
        binding = version.binding
        inputs = {bound.tensor.index: bound for bound in binding.inputs}
        outputs = {bound.tensor.index: bound for bound in binding.outputs}
        _check(runtime.inputs, {index: bound.tensor for index, bound in inputs.items()}, "input")
        _check(runtime.outputs, {index: bound.tensor for index, bound in outputs.items()}, "output")
        ordered = [inputs[tensor.index] for tensor in runtime.inputs]
        self._sources = tuple(bound.recipe.source for bound in ordered)
        self._tensors = tuple(bound.tensor.name for bound in ordered)
        self._plans = tuple(make_plan(bound) for bound in ordered)
        self._most = max(1, ROWS_BYTES // max(1, version.model.activation_bytes))
        self._names = tuple(outputs[tensor.index].name for tensor in runtime.outputs)
        self._dequantise = tuple(
            (position, convert)
            for position, tensor in enumerate(runtime.outputs)
            if (convert := _dequantiser(outputs[tensor.index])) is not None
        )
        manifest = version.manifest
        self._scores = manifest.outputs.scores if manifest.task.kind is TaskKind.CLASSIFY else None
        self._embedding = manifest.outputs.embedding

    @property
    def runtime_name(self) -> str:
        """The runtime and its version."""
        return self._runtime.name

    def predict(self, canonical: Mapping[str, Array]) -> Prediction:
        """Answers rows: `canonical[name]` is [rows, *shape] of the declared type, at least one row.

        Encoded images are an object array [rows] of bytes. Raises InvalidInput for rows that do not fit or images
        that can't be decoded, InferenceFailed when the runtime refuses to run.
        """
        try:
            given = [canonical[source] for source in self._sources]
        except KeyError as error:
            raise InvalidInput(f"input {error.args[0]!r} is missing") from error
        rows = len(given[0])
        results = self._infer(given) if rows <= self._most else self._in_groups(given, rows)
        for position, convert in self._dequantise:
            results[position] = convert(results[position])
        outputs = dict(zip(self._names, results, strict=True))
        scores = outputs[self._scores] if self._scores is not None else None
        if scores is not None and scores.ndim != 2:
            scores = scores.reshape(rows, -1)
        embedding = outputs[self._embedding] if self._embedding is not None else None
        return Prediction(scores, embedding, outputs)

    def prepare(self, canonical: Mapping[str, Array]) -> dict[str, Array]:
        """The model's own inputs for some rows, by tensor name; raises as `predict` does."""
        made = (plan(canonical[source]) for plan, source in zip(self._plans, self._sources, strict=True))
        return dict(zip(self._tensors, made, strict=True))

    def _infer(self, given: list[Array]) -> list[Array]:
        return self._runtime.infer([plan(array) for plan, array in zip(self._plans, given, strict=True)])

    def _in_groups(self, given: list[Array], rows: int) -> list[Array]:
        """Large batches go in groups of nearly the same size, so that memory stays bounded."""
        count = -(-rows // self._most)
        edges = [rows * group // count for group in range(count + 1)]
        parts = [self._infer([array[start:stop] for array in given]) for start, stop in pairwise(edges)]
        return [np.concatenate(results) for results in zip(*parts, strict=True)]


def open_predictor(version: Version, runtime: RuntimeKind = "auto", threads: int = 1) -> Predictor:
    """Opens the version's model on a runtime. Raises RuntimeMissing and ModelInvalid as `open_runtime` does."""
    return Predictor(version, open_runtime(runtime, version.model_path, threads))


def _check(found: tuple[TensorInfo, ...], expected: Mapping[int, ModelTensor], what: str) -> None:
    """The runtime must see the tensors that the flatbuffer was read to have."""
    for tensor in found:
        read = expected.get(tensor.index)
        if read is None or tensor.dtype != np.dtype(read.dtype) or len(tensor.shape) != len(read.shape):
            told = "no such tensor" if read is None else f"{read.dtype} {list(read.signature)}"
            raise ModelInvalid(
                f"the runtime has {what} {tensor.name!r} as {tensor.dtype} {list(tensor.signature)};"
                f" the file says {told}"
            )
    if len(found) != len(expected):
        raise ModelInvalid(f"the runtime has {len(found)} {what}s; the file says {len(expected)}")


def _dequantiser(bound: BoundOutput) -> Callable[[Array], Array] | None:
    tensor = bound.tensor
    if tensor.scale == 0.0 or np.dtype(tensor.dtype).kind == "f":
        return None
    scale, zero_point = np.float32(tensor.scale), np.float32(tensor.zero_point)

    def convert(stored: Array) -> Array:
        real: Array = np.subtract(stored, zero_point, dtype=np.float32)
        real *= scale
        return real

    return convert
