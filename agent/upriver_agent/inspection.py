"""What a model or version needs, and whether this machine can run it. The .tflite is run in a child process only."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from upriver.errors import ManifestError, ModelInvalid, ProblemList, RuntimeMissing, UpriverError
from upriver.listing import MODEL
from upriver_agent.head import embedding_width, problem_of, read_prior
from upriver_agent.runtime import RuntimeKind
from upriver_agent.versions import VerifyReport, Version, open_version, verify_version
from upriver_agent.versions.manifest import TaskKind
from upriver_agent.versions.model_file import ModelFile, ModelTensor, read_model_file
from upriver_agent.versions.verify import DEFAULT_MEMORY_MIB, Trial, run_trial

LEARNS: Final = (
    "an agent can learn a head on the output {name!r}, {width} numbers for each row, from the sums over {lessons:,.0f}"
    " training samples in prior.npz"
)
NO_PRIOR: Final = (
    "the output {name!r} is an embedding of {width} numbers, but there is no prior.npz with the sums over what the"
    " version was trained on, so no agent learns on it. To make one: upriver model prior FOLDER --data TRAINING"
)
CANNOT: Final = "no agent can learn on top of this version: {problem}"
NO_EMBEDDING: Final = (
    "no embedding output, so no agent can learn on top of this version. To add one, make the layer before the last an"
    " output too, for example keras.Model(m.input, [m.output, m.layers[-2].output]), convert again, and name it in the"
    " manifest: outputs.embedding"
)
MAYBE_EMBEDDING: Final = (
    "whether it can learn depends on its manifest: outputs.embedding names the output of the layer before the last, one"
    " row of numbers for each row; outputs that could be it: {names}"
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that was found. `report` is there iff it ran here; `problems` say why not.

    `learning` says what learning on top of it takes; it is empty when that can't be told.
    """

    path: Path
    version: Version | None
    model: ModelFile | None
    report: VerifyReport | None
    problems: tuple[str, ...]
    learning: str
    can_learn: bool

    @property
    def runs_here(self) -> bool:
        """True when this machine can serve it."""
        return self.report is not None


def inspect(path: Path, runtime: RuntimeKind, timeout_s: float) -> Inspection:
    """Looks at a bare .tflite file, or at a version in a folder or archive. Never raises for what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="upriver-inspect-") as aside:
        if path.is_file() and (path.suffix == ".tflite" or _is_flatbuffer(path)):
            return _bare(path, runtime, timeout_s)
        return _version(path, Path(aside), runtime, timeout_s)


def _is_flatbuffer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"TFL3"
    except OSError:
        return False


def _bare(path: Path, runtime: RuntimeKind, timeout_s: float) -> Inspection:
    try:
        model = read_model_file(path)
    except ModelInvalid as error:
        return Inspection(path, None, None, None, (str(error),), "", can_learn=False)
    report, problems = None, tuple(_missing_operators(model))
    try:
        trial = Trial(str(path.resolve()), False, runtime, 1, timeout_s, DEFAULT_MEMORY_MIB)
        report = run_trial(trial, path.name)
    except (ModelInvalid, RuntimeMissing) as error:
        problems = (*problems, str(error))
    rows = [output.name for output in model.outputs if len(output.signature) == 2 and output.signature[1] > 1]
    possible = len(rows) > 1
    names = ", ".join(repr(name) for name in rows)
    learning = MAYBE_EMBEDDING.format(names=names) if possible else NO_EMBEDDING
    return Inspection(path, None, model, report, problems, learning, can_learn=False)


def _version(path: Path, aside: Path, runtime: RuntimeKind, timeout_s: float) -> Inspection:
    try:
        version = open_version(path, aside)
    except UpriverError as error:
        problems = error.problems if isinstance(error, ProblemList) else (str(error),)
        if isinstance(error, ManifestError):
            problems = tuple(f"manifest.toml: {problem}" for problem in problems)
        return Inspection(path, None, _model_in(path), None, problems, "", can_learn=False)
    report, problems = None, tuple(_missing_operators(version.model))
    try:
        report = verify_version(version, runtime, timeout_s)
    except (ModelInvalid, RuntimeMissing) as error:
        problems = (*problems, str(error))
    learning, can_learn = _learning(version)
    return Inspection(path, version, version.model, report, problems, learning, can_learn)


def _learning(version: Version) -> tuple[str, bool]:
    """What learning on top of a version takes, in words, and whether it can be done now."""
    embedding, width, problem = version.manifest.outputs.embedding, embedding_width(version), problem_of(version)
    if embedding is None and version.manifest.task.kind is TaskKind.CLASSIFY:
        return NO_EMBEDDING, False
    if problem:
        return CANNOT.format(problem=problem), False
    try:
        prior = read_prior(version)
    except ModelInvalid as error:
        return CANNOT.format(problem=error), False
    if prior is None:
        return NO_PRIOR.format(name=embedding, width=width), False
    return LEARNS.format(name=embedding, width=width, lessons=prior.lessons), True


def _model_in(folder: Path) -> ModelFile | None:
    """The model of a version that can't be opened, as far as it can be read."""
    try:
        return read_model_file(folder / MODEL)
    except ModelInvalid:
        return None  # the reason is among the problems already


def _missing_operators(model: ModelFile) -> list[str]:
    flex = [name for name in model.custom_operators if name.startswith("Flex")]
    if not flex:
        return []
    return [
        f"needs TensorFlow operators ({', '.join(flex)}) that no TFLite runtime brings: convert it with TFLITE_BUILTINS"
    ]


def as_document(found: Inspection) -> dict[str, Any]:
    """An inspection as plain values, the form that `--json` prints."""
    model, version, report = found.model, found.version, found.report
    return {
        "ok": found.runs_here,
        "path": str(found.path),
        "problems": list(found.problems),
        "version": None
        if version is None
        else {
            "model": version.manifest.model,
            "version": version.manifest.version,
            "digest": version.digest,
            "task": version.manifest.task.kind.value,
            "labels": list(version.labels),
            "threshold": _number(version.manifest.policy.threshold),
        },
        "flatbuffer": None if model is None else _flatbuffer(model),
        "run": None
        if report is None
        else {
            "runtime": report.runtime,
            "open_ms": round(report.open_ms, 3),
            "invoke_ms": round(report.invoke_ms, 4),
            "peak_mib": round(report.peak_mib, 1),
        },
        "learning": {"possible": found.can_learn, "advice": found.learning},
    }


def _number(value: float) -> float | str:
    """JSON has no infinity; a threshold may be one."""
    return value if math.isfinite(value) else str(value)


def _flatbuffer(model: ModelFile) -> dict[str, Any]:
    return {
        "size_bytes": model.size_bytes,
        "activation_bytes": model.activation_bytes,
        "description": model.description,
        "inputs": [_tensor(tensor) for tensor in model.inputs],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
        "operators": dict(model.operators),
        "custom_operators": list(model.custom_operators),
        "signatures": list(model.signatures),
        "min_runtime": model.min_runtime,
        "quantised": any(tensor.scale for tensor in (*model.inputs, *model.outputs)),
        "batch": "free" if all(t.signature[:1] == (-1,) for t in model.inputs) else "fixed",
        "metadata": {
            "labels": {_name(model, index): list(labels) for index, labels in model.labels.items()},
            "normalisation": {
                _name(model, index): {"mean": list(units.mean), "std": list(units.std)}
                for index, units in model.normalisation.items()
            },
        },
    }


def _name(model: ModelFile, index: int) -> str:
    return next(tensor.name for tensor in (*model.inputs, *model.outputs) if tensor.index == index)


def _tensor(tensor: ModelTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "tensor_name": tensor.tensor_name,
        "dtype": tensor.dtype,
        "shape": list(tensor.signature),
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }
