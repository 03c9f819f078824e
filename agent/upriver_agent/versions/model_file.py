"""What a .tflite file says of itself: inputs, outputs, signature names, operators, labels and normalisation.

Read straight from the flatbuffer, with no interpreter: a version can be judged before any native code touches it.
Field numbers are those of TFLite's public `schema.fbs`.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from upriver.errors import ModelInvalid
from upriver_agent.versions.flatbuffer import Cursor, root
from upriver_agent.versions.metadata import MAX_CHANNELS, Normalisation, read_metadata
from upriver_agent.versions.operators import BUILTIN_OPERATORS

MAX_MODEL_BYTES: Final = 1 << 31
MAX_ENDS: Final = 1024
MAX_RANK: Final = 64
_TENSOR_TYPES: Final = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float64",
    11: "complex128",
    12: "uint64",
    13: "resource",
    14: "variant",
    15: "uint32",
    16: "uint16",
    17: "int4",
    18: "bfloat16",
}
_CUSTOM_OPERATOR: Final = 32


@dataclass(frozen=True, slots=True)
class ModelTensor:
    """An input or output of the model's first subgraph.

    `name` is the signature's name where there is one, else the tensor's own; `signature` has -1 where the shape is
    free. `scale` 0 means not quantised; real value = scale · (stored - zero_point).
    """

    index: int
    name: str
    tensor_name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What is known of a .tflite file without running it. `normalisation` and `labels` go by tensor index.

    So do `steps`: how far apart the values of a quantised output are, or of one that was quantised until the end.
    """

    size_bytes: int
    description: str
    inputs: tuple[ModelTensor, ...]
    outputs: tuple[ModelTensor, ...]
    operators: Mapping[str, int]
    custom_operators: tuple[str, ...]
    signatures: tuple[str, ...]
    activation_bytes: int
    min_runtime: str = ""
    normalisation: Mapping[int, Normalisation] = field(default_factory=dict)
    labels: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    steps: Mapping[int, float] = field(default_factory=dict)

    def input_named(self, name: str) -> ModelTensor | None:
        """Finds an input by its signature name or tensor name."""
        return _named(self.inputs, name)

    def output_named(self, name: str) -> ModelTensor | None:
        """Finds an output by its signature name or tensor name."""
        return _named(self.outputs, name)


def _named(tensors: tuple[ModelTensor, ...], name: str) -> ModelTensor | None:
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    for tensor in tensors:
        if tensor.tensor_name == name:
            return tensor
    return None


def read_model_file(path: Path) -> ModelFile:
    """Reads a .tflite file; raises ModelInvalid when it is not one, or is broken where it is looked at."""
    try:
        size = path.stat().st_size
        if not 0 < size <= MAX_MODEL_BYTES:
            raise ModelInvalid(f"{path.name}: {size} bytes; expected 1 to {MAX_MODEL_BYTES}")
        return parse_model(path.read_bytes())
    except OSError as error:
        raise ModelInvalid(f"can't read {path}: {error.strerror or error}") from error


def parse_model(content: bytes) -> ModelFile:
    """Reads a .tflite file's content; raises ModelInvalid as `read_model_file` does."""
    model = root(memoryview(content), b"TFL3")
    subgraphs = model.tables(2)
    if not subgraphs:
        raise ModelInvalid("the flatbuffer has no subgraph: nothing to run")
    graph = subgraphs[0]
    tensors = graph.tables(0)
    signatures = model.tables(7)
    input_names, output_names = _signature_names(signatures)
    inputs = _ends(graph, 1, tensors, input_names, "input")
    outputs = _ends(graph, 2, tensors, output_names, "output")
    names, custom = _operator_names(model)
    metadata = read_metadata(model, content)
    return ModelFile(
        size_bytes=len(content),
        description=model.text(3),
        inputs=inputs,
        outputs=outputs,
        operators=_operators(names, subgraphs),
        custom_operators=custom,
        signatures=tuple(signature.text(2) for signature in signatures),
        activation_bytes=_activation_bytes(model, tensors),
        min_runtime=metadata.min_runtime,
        normalisation={inputs[at].index: units for at, units in metadata.normalisation.items() if at < len(inputs)},
        labels={outputs[at].index: labels for at, labels in metadata.labels.items() if at < len(outputs)},
        steps=_steps(names, graph, tensors, outputs),
    )


def _signature_names(signatures: list[Cursor]) -> tuple[dict[int, str], dict[int, str]]:
    """Names of the first signature that belongs to the first subgraph, by tensor index."""
    for signature in signatures:
        if signature.scalar(4, "uint32") == 0:
            return (
                {entry.scalar(1, "uint32"): entry.text(0) for entry in signature.tables(0)},
                {entry.scalar(1, "uint32"): entry.text(0) for entry in signature.tables(1)},
            )
    return {}, {}


def _ends(
    graph: Cursor, number: int, tensors: list[Cursor], names: Mapping[int, str], what: str
) -> tuple[ModelTensor, ...]:
    indices = graph.numbers(number, "<i4", MAX_ENDS)
    if indices is None or indices.size == 0:
        raise ModelInvalid(f"the flatbuffer's first subgraph has no {what}")
    ends = []
    for index in indices.tolist():
        if not 0 <= index < len(tensors):
            raise ModelInvalid(f"broken flatbuffer: {what} refers to tensor {index} of {len(tensors)}")
        ends.append(_tensor(tensors[index], index, names.get(index, "")))
    return tuple(ends)


def _ints(cursor: Cursor, number: int) -> tuple[int, ...] | None:
    values = cursor.numbers(number, "<i4", MAX_RANK)
    return None if values is None else tuple(values.tolist())


def _tensor(cursor: Cursor, index: int, name: str) -> ModelTensor:
    kind = cursor.scalar(1, "int8")
    shape = _ints(cursor, 0) or ()
    signature = _ints(cursor, 7)
    scale, zero_point = 0.0, 0
    quantisation = cursor.table(4)
    if quantisation is not None:
        scales = quantisation.numbers(2, "<f4", MAX_CHANNELS)
        points = quantisation.numbers(3, "<i8", MAX_CHANNELS)
        if scales is not None and scales.size == 1:
            scale = float(scales.tolist()[0])
            zero_point = int(points.tolist()[0]) if points is not None and points.size else 0
    tensor_name = cursor.text(3)
    return ModelTensor(
        index=index,
        name=name or tensor_name,
        tensor_name=tensor_name,
        dtype=_TENSOR_TYPES.get(kind, f"type {kind}"),
        shape=shape,
        signature=signature if signature is not None and len(signature) == len(shape) else shape,
        scale=scale,
        zero_point=zero_point,
    )


def _operator_names(model: Cursor) -> tuple[list[str], tuple[str, ...]]:
    """The name of each operator code, and those that are custom."""
    names: list[str] = []
    custom: set[str] = set()
    for code in model.tables(1):
        # Numbers below 127 were first kept in field 0; newer writers fill both, so the larger one is right.
        number = max(code.scalar(0, "int8"), code.scalar(3, "int32"))
        if number == _CUSTOM_OPERATOR:
            name = code.text(1) or "custom"
            custom.add(name)
        else:
            name = BUILTIN_OPERATORS[number] if 0 <= number < len(BUILTIN_OPERATORS) else f"operator {number}"
        names.append(name)
    return names, tuple(sorted(custom))


def _operators(names: list[str], subgraphs: list[Cursor]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for graph in subgraphs:
        for operator in graph.tables(3):
            index = operator.scalar(0, "uint32")
            if index >= len(names):
                raise ModelInvalid(f"broken flatbuffer: an operator refers to code {index} of {len(names)}")
            counts[names[index]] += 1
    return dict(sorted(counts.items()))


def _steps(
    names: list[str], graph: Cursor, tensors: list[Cursor], outputs: tuple[ModelTensor, ...]
) -> dict[int, float]:
    """Quantisation steps of the outputs: their own, or those of what a last DEQUANTIZE made them of."""
    steps = {tensor.index: tensor.scale for tensor in outputs if tensor.scale}
    wanted = {tensor.index for tensor in outputs}
    for operator in graph.tables(3):
        if names[operator.scalar(0, "uint32")] != "DEQUANTIZE":
            continue
        taken, made = _ints(operator, 1) or (), _ints(operator, 2) or ()
        if len(taken) == len(made) == 1 and made[0] in wanted and 0 <= taken[0] < len(tensors):
            steps[made[0]] = _tensor(tensors[taken[0]], taken[0], "").scale
    return steps


def _activation_bytes(model: Cursor, tensors: list[Cursor]) -> int:
    """Bytes of all tensors without stored content for one row: an upper bound of the interpreter's arena."""
    buffers = model.tables(4)
    total = 0
    for tensor in tensors:
        buffer = tensor.scalar(2, "uint32")
        if buffer >= len(buffers):
            raise ModelInvalid(f"broken flatbuffer: a tensor refers to buffer {buffer} of {len(buffers)}")
        if len(buffers[buffer].octets(0)) or buffers[buffer].scalar(1, "uint64") > 1:
            continue
        kind = _TENSOR_TYPES.get(tensor.scalar(1, "int8"), "")
        width = np.dtype(kind).itemsize if kind in np.sctypeDict else 1
        total += math.prod(max(1, size) for size in _ints(tensor, 0) or ()) * width
    return total
