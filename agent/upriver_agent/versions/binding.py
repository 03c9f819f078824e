"""Holding a manifest against the flatbuffer beside it: names, types, shapes and numbers of labels must agree.

Pure: works on what `manifest` and `model_file` have read, and finds every disagreement in one go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from upriver.errors import ModelInvalid
from upriver_agent.versions.manifest import (
    Canonical,
    InputRecipe,
    Layout,
    Manifest,
    TaskKind,
)
from upriver_agent.versions.model_file import ModelFile, ModelTensor

NUMERIC_TYPES = (
    "float32",
    "float16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "bool",
)
QUANTISED_TYPES = ("int8", "uint8", "int16")


@dataclass(frozen=True, slots=True)
class BoundInput:
    """One input tensor with what is needed to make it: real value = x · factor + offset, a number or one a channel."""

    recipe: InputRecipe
    canonical: Canonical
    tensor: ModelTensor
    factor: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BoundOutput:
    """One output tensor. `name` is the manifest's where it names the tensor, `row_shape` has -1 where it is free."""

    name: str
    tensor: ModelTensor
    row_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """A manifest and a flatbuffer that agree. `labels` is empty when the task has none."""

    inputs: tuple[BoundInput, ...]
    outputs: tuple[BoundOutput, ...]
    labels: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)


def bind(manifest: Manifest, model: ModelFile) -> Binding:
    """Joins the two; raises ModelInvalid naming every point where the manifest is untrue to the flatbuffer."""
    problems: list[str] = []
    inputs = _inputs(manifest, model, problems)
    outputs = _outputs(manifest, model, problems)
    labels = _labels(manifest, model, problems)
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise ModelInvalid(f"{manifest.model}/{manifest.version}: the manifest does not fit the model:{listed}")
    return Binding(tuple(inputs), tuple(outputs), labels, manifest.outputs.named())


def _listing(tensors: tuple[ModelTensor, ...]) -> str:
    return ", ".join(f"{tensor.name!r} ({tensor.dtype} {list(tensor.signature)})" for tensor in tensors)


def _inputs(manifest: Manifest, model: ModelFile, problems: list[str]) -> list[BoundInput]:
    by_index: dict[int, BoundInput] = {}
    for at, recipe in enumerate(manifest.inputs):
        path = f"inputs[{at}]"
        tensor = model.input_named(recipe.tensor)
        if tensor is None:
            problems.append(f"{path}.tensor = {recipe.tensor!r}: no such input; the model has {_listing(model.inputs)}")
            continue
        if tensor.index in by_index:
            problems.append(f"{path}.tensor = {recipe.tensor!r}: the input {tensor.name!r} is made twice")
            continue
        if tensor.dtype not in NUMERIC_TYPES:
            problems.append(
                f"{path}.tensor = {recipe.tensor!r}: is {tensor.dtype}; can make {', '.join(NUMERIC_TYPES)}"
            )
        canonical = manifest.canonical_named(recipe.source)
        made = _made_shape(recipe, canonical)
        wanted = tensor.signature[1:]
        fits = len(made) == len(wanted) and all(a in (b, -1) or b == -1 for a, b in zip(made, wanted, strict=True))
        if not tensor.signature or not fits:
            problems.append(
                f"{path}: makes rows of {list(made)} for {recipe.tensor!r}; the model takes {list(tensor.signature)},"
                " the rows first"
            )
        channels = made[0 if recipe.layout is Layout.NCHW else -1] if made else 1
        factor, offset = _arithmetic(path, recipe, model, tensor, channels, problems)
        by_index[tensor.index] = BoundInput(recipe, canonical, tensor, factor, offset)
    problems.extend(
        f"inputs: nothing makes the model's input {tensor.name!r} ({tensor.dtype} {list(tensor.signature)})"
        for tensor in model.inputs
        if tensor.index not in by_index and len(by_index) == len(manifest.inputs)
    )
    return [by_index[tensor.index] for tensor in model.inputs if tensor.index in by_index]


def _made_shape(recipe: InputRecipe, canonical: Canonical) -> tuple[int, ...]:
    shape = canonical.shape
    if canonical.encoded:
        shape = (0, 0, recipe.colour.channels if recipe.colour else 3)
    if recipe.resize is not None:
        shape = (recipe.resize.height, recipe.resize.width, *shape[2:])
    if recipe.layout is Layout.NCHW and len(shape) == 3:
        shape = (shape[2], shape[0], shape[1])
    return shape


def _arithmetic(
    path: str, recipe: InputRecipe, model: ModelFile, tensor: ModelTensor, channels: int, problems: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Folds scale, mean and std into one multiply and one add; the metadata's mean and std stand in for all three."""
    scale = 1.0 if recipe.scale is None else recipe.scale
    mean, std = recipe.mean or (0.0,), recipe.std or (1.0,)
    told = model.normalisation.get(tensor.index)
    if told is not None and recipe.scale is None and recipe.mean is None and recipe.std is None:
        mean, std = told.mean, told.std
    for key, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            problems.append(f"{path}.{key}: {len(values)} numbers; allowed: 1 or {channels}, one for each channel")
            return (1.0,), (0.0,)
    if 0.0 in std:
        problems.append(f"{path}.std: holds a 0 (from the flatbuffer's metadata); allowed: numbers above 0")
        return (1.0,), (0.0,)
    size = max(len(mean), len(std))
    means, stds = mean * (size // len(mean)), std * (size // len(std))
    return tuple(scale / s for s in stds), tuple(-m / s for m, s in zip(means, stds, strict=True))


def _outputs(manifest: Manifest, model: ModelFile, problems: list[str]) -> list[BoundOutput]:
    names: dict[int, str] = {}
    for key, name in manifest.outputs.named().items():
        tensor = model.output_named(name)
        if tensor is None:
            problems.append(f"outputs.{key} = {name!r}: no such output; the model has {_listing(model.outputs)}")
        elif tensor.dtype not in NUMERIC_TYPES:
            problems.append(f"outputs.{key} = {name!r}: is {tensor.dtype}; can read {', '.join(NUMERIC_TYPES)}")
        elif tensor.index in names:
            problems.append(f"outputs.{key} = {name!r}: this output is already outputs' {names[tensor.index]!r}")
        else:
            names[tensor.index] = name
    return [
        BoundOutput(names.get(tensor.index, tensor.name), tensor, tensor.signature[1:])
        for tensor in model.outputs
        if tensor.dtype in NUMERIC_TYPES
    ]


def _labels(manifest: Manifest, model: ModelFile, problems: list[str]) -> tuple[str, ...]:
    kind = manifest.task.kind
    named = manifest.task.labels
    name = manifest.outputs.classes if kind is TaskKind.DETECT else manifest.outputs.scores
    tensor = model.output_named(name) if name is not None else None
    labels = named if named is not None else model.labels.get(tensor.index, ()) if tensor is not None else ()
    if kind is not TaskKind.CLASSIFY or tensor is None:
        return labels
    classes = _class_count(tensor)
    if classes is None:
        problems.append(
            f"outputs.scores = {name!r}: has shape {list(tensor.signature)}; expected [rows, classes]"
            " (sizes of 1 in between are fine)"
        )
    elif not labels:
        where = "in neither the manifest nor the flatbuffer's metadata"
        problems.append(f"task.labels: missing, {where}; expected {classes}, one for each class")
    elif len(labels) != classes:
        problems.append(f"task.labels: {len(labels)} labels; the output {name!r} has {classes} classes")
    return labels


def _class_count(tensor: ModelTensor) -> int | None:
    """The classes of a scores tensor: the one size after the rows that is not 1."""
    sizes = tensor.signature[1:] if len(tensor.signature) > 1 else tensor.signature
    large = [size for size in sizes if size != 1]
    if not sizes or len(large) > 1 or -1 in sizes:
        return None
    return large[0] if large else 1
