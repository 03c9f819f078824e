"""From a trained model and a manifest to a version: variants are made, tried in a child process, compared, chosen.

What the model is given comes from the agent's own preprocessing, so that the representative set and the comparison are
true to what a device will do.
"""

import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from upriver.errors import ConfigError, ModelInvalid, RuntimeMissing
from upriver.listing import MANIFEST, MODEL
from upriver_control.convert.cost import Cost, Quantise, choose, cost_of
from upriver_control.validation import ChildValidation, make_golden

Array = NDArray[Any]
BEST: Final = "best"
_KERAS: Final = (".keras", ".h5")
_ONNX_S: Final = 600.0


class Source(Protocol):
    """A trained model that can be run and converted."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Its outputs by name, [rows, ...]."""
        ...

    def convert(self, how: Quantise, representative: Mapping[str, Array] | None, lenient: bool = False) -> bytes:
        """A .tflite file; raises ModelInvalid."""
        ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was made: all variants that were compared, and the chosen one. `failed` says why others are not there."""

    chosen: Cost
    costs: tuple[Cost, ...]
    failed: Mapping[str, str]

    @property
    def told(self) -> str:
        """One line for the version's lineage."""
        cost = self.chosen
        parts = [cost.how.value, f"{cost.size_bytes} bytes"]
        if cost.agreement is not None:
            parts.append(f"agreement {cost.agreement:.4f}")
        if cost.accuracy is not None and cost.original_accuracy is not None:
            parts.append(f"accuracy {cost.accuracy:.4f} (original {cost.original_accuracy:.4f})")
        return ", ".join(parts)

    def as_document(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "chosen": self.chosen.how.value,
            "variants": [cost.as_document() for cost in self.costs],
            "failed": dict(self.failed),
        }


def is_source(path: Path) -> bool:
    """Whether a path is a model that must be converted: a Keras or ONNX file, or a SavedModel folder."""
    if path.is_dir():
        return (path / "saved_model.pb").exists() and not (path / MODEL).exists()
    return path.suffix in (*_KERAS, ".onnx")


def convert_to_version(path: Path, manifest: Path, samples: Path | None, quantise: str, folder: Path) -> Conversion:
    """Converts a trained model and writes the version into `folder`.

    `samples` is an .npz file: `inputs/<canonical name>` [rows, ...] and, if known, `labels`, class numbers [rows].
    `quantise` is float, dynamic-range, int8 or best. Raises RuntimeMissing without TensorFlow, ModelInvalid naming
    every operator that can't go to the edge, ConfigError for orders that make no sense.
    """
    if quantise not in (BEST, *Quantise):
        raise ConfigError("convert", [f"--quantise {quantise!r}: expected {BEST} or {', '.join(Quantise)}"])
    if quantise == Quantise.INT8 and samples is None:
        raise ConfigError(
            "convert", ["--quantise int8 needs --samples: activations are scaled to a representative set"]
        )
    with tempfile.TemporaryDirectory(prefix="upriver-convert-") as aside:
        workshop = _Workshop(open_trained(path, Path(aside)), manifest, samples, Path(aside))
        conversion = workshop.convert(quantise)
        shutil.copyfile(manifest, folder / MANIFEST)
        shutil.copyfile(workshop.place(conversion.chosen.how) / MODEL, folder / MODEL)
    return conversion


def open_trained(path: Path, aside: Path) -> Source:
    """Opens a trained model; raises RuntimeMissing without TensorFlow, ModelInvalid when it can't be opened."""
    try:
        from upriver_control.convert.tensorflow_models import open_source  # takes seconds, and few have it
    except ModuleNotFoundError as error:
        raise RuntimeMissing(
            f"{error.name} is not installed; converting models needs: pip install 'upriver[train]'"
        ) from error
    return open_source(_from_onnx(path, aside) if path.suffix == ".onnx" else path)


def _from_onnx(path: Path, aside: Path) -> Path:
    """A SavedModel folder made of an ONNX file by the program onnx2tf, where it is installed."""
    program = shutil.which("onnx2tf")
    if program is None:
        raise RuntimeMissing(
            f"{path.name} is ONNX, which needs the program onnx2tf: install it, or make a SavedModel folder elsewhere "
            f"(onnx2tf -i {path.name} -o saved_model -osd) and publish that"
        )
    made = aside / "saved_model"
    # One row at a time: with a free number of rows, what it makes of a Flatten gives wrong shapes for more than one.
    command = [program, "-i", str(path.resolve()), "-o", str(made), "-osd", "-n", "-b", "1"]
    try:
        done = subprocess.run(  # noqa: S603 - a program that the operator installed, no shell
            command, capture_output=True, timeout=_ONNX_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelInvalid(f"onnx2tf could not convert {path.name}: {error}") from error
    if done.returncode or not (made / "saved_model.pb").exists():
        told = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:500]
        raise ModelInvalid(f"onnx2tf could not convert {path.name}, exit status {done.returncode}: {told}")
    return made


class _Workshop:
    """Variants of one trained model, each in a folder of its own."""

    def __init__(self, source: Source, manifest: Path, samples: Path | None, aside: Path) -> None:
        self._source = source
        self._manifest = manifest
        self._samples = samples
        self._aside = aside
        self._scores = _scores(manifest)

    def place(self, how: Quantise) -> Path:
        """The folder of a variant."""
        return self._aside / how.value

    def convert(self, quantise: str) -> Conversion:
        """Makes the float variant, then the others that are asked for, and chooses."""
        self._write(Quantise.FLOAT, self._float())
        labels, inputs, original = self._originals()
        costs, failed = [self._compare(Quantise.FLOAT, original, labels)], {}
        for how in (Quantise.DYNAMIC_RANGE, Quantise.INT8):
            if quantise not in (BEST, how):
                continue
            if how is Quantise.INT8 and inputs is None:
                failed[how.value] = "needs --samples as a representative set"
                continue
            try:
                self._write(how, self._source.convert(how, inputs))
                costs.append(self._compare(how, original, labels))
            except ModelInvalid as error:
                if quantise == how:
                    raise
                failed[how.value] = str(error)
        chosen = choose(costs) if quantise == BEST else next(cost for cost in costs if cost.how == quantise)
        return Conversion(chosen, tuple(costs), failed)

    def _float(self) -> bytes:
        try:
            return self._source.convert(Quantise.FLOAT, None)
        except ModelInvalid as refused:
            # Once more with everything let through: what comes out names the operators that stand in the way.
            self._write(Quantise.FLOAT, self._source.convert(Quantise.FLOAT, None, lenient=True))
            self._try(Quantise.FLOAT)
            raise refused

    def _write(self, how: Quantise, model: bytes) -> None:
        place = self.place(how)
        place.mkdir(exist_ok=True)
        (place / MODEL).write_bytes(model)
        shutil.copyfile(self._manifest, place / MANIFEST)

    def _try(self, how: Quantise) -> None:
        ChildValidation()(self.place(how))

    def _originals(self) -> tuple[Array | None, dict[str, Array] | None, dict[str, Array]]:
        """Labels, the model's own inputs, and the original's outputs for the samples."""
        if self._samples is None:
            self._try(Quantise.FLOAT)
            return None, None, {}
        prepared = self._aside / "prepared.npz"
        make_golden(self.place(Quantise.FLOAT), self._samples, self._outputs(Quantise.FLOAT), prepared)
        inputs = {name.removeprefix("inputs/"): array for name, array in _plain(prepared).items()}
        labels = _plain(self._samples).get("labels")
        rows = len(next(iter(inputs.values())))
        if labels is not None and (labels.shape != (rows,) or labels.dtype.kind not in "iu"):
            raise ModelInvalid(f"samples: labels are {labels.dtype} {list(labels.shape)}; expected integers [{rows}]")
        return labels, inputs, self._source.run(inputs)

    def _compare(self, how: Quantise, original: Mapping[str, Array], labels: Array | None) -> Cost:
        size = (self.place(how) / MODEL).stat().st_size
        if self._samples is None:
            self._try(how)
            return Cost(how, size)
        make_golden(self.place(how), self._samples, self._outputs(how))
        made = _plain(self._outputs(how))
        found = {name.removeprefix("outputs/"): made[name] for name in made if name.startswith("outputs/")}
        shared = {name: array for name, array in original.items() if name in found}
        return cost_of(how, size, shared, found, self._scores, labels)

    def _outputs(self, how: Quantise) -> Path:
        return self._aside / f"{how.value}.npz"


def _plain(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise ModelInvalid(f"{path}: can't be read as an .npz file of plain arrays: {error}") from error


def _scores(manifest: Path) -> str | None:
    try:
        document = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("convert", [f"--manifest {manifest}: can't be read as TOML: {error}"]) from error
    outputs = document.get("outputs")
    scores = outputs.get("scores") if isinstance(outputs, dict) else None
    return scores if isinstance(scores, str) else None
