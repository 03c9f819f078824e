"""The child process of `upriver_agent.versions.verify`: opens one model, runs a few rows, reports on standard output.

Run as `python -m upriver_agent.self_test '<JSON of a Trial>'`. The report is one JSON object; native libraries write
what they like to standard error. Limits on memory and processor time are set before anything is loaded.
"""

import json
import os
import resource
import statistics
import struct
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final, cast

import numpy as np

from upriver import child
from upriver.errors import GoldenMismatch, ModelInvalid, RuntimeMissing, UpriverError
from upriver.listing import GOLDEN
from upriver.tensors import DTYPES, Array
from upriver_agent.head import read_prior
from upriver_agent.predictor import Predictor
from upriver_agent.runtime import Runtime, RuntimeKind, open_runtime
from upriver_agent.versions.golden import Golden, compare, read_arrays, read_golden, read_inputs, write_golden
from upriver_agent.versions.manifest import Canonical, TaskKind
from upriver_agent.versions.store import Version, load_folder
from upriver_agent.versions.verify import Trial, VerifyReport

MAX_RUNS: Final = 30
BUDGET_S: Final = 1.0
BATCH: Final = 3


def main() -> int:
    """Runs the trial that the command line gives; the exit status is 0 whenever there is a report."""
    trial = Trial(**json.loads(sys.argv[1]))
    report = child.answering()
    child.limit(trial.memory_mib, trial.timeout_s * max(1, trial.threads))
    try:
        told: dict[str, object] = {"kind": "passed", "report": asdict(run(trial))}
    except RuntimeMissing as error:
        told = {"kind": "missing", "reason": str(error)}
    except GoldenMismatch as error:
        told = {"kind": "golden", "reason": str(error)}
    except UpriverError as error:
        told = {"kind": "invalid", "reason": str(error)}
    except MemoryError:
        told = {"kind": "invalid", "reason": f"the self-test needed more than {trial.memory_mib} MiB"}
    with report as out:
        json.dump(told, out)
    return 0


def run(trial: Trial) -> VerifyReport:
    """Opens and runs what the trial names; raises ModelInvalid and RuntimeMissing with the reason."""
    path = Path(trial.path)
    golden_rows = 0
    start = time.perf_counter()
    if trial.whole:
        version = load_folder(path, "", path.name)
        path = version.model_path
        runtime = open_runtime(cast(RuntimeKind, trial.runtime), path, trial.threads)
        predictor = Predictor(version, runtime)
        once = _whole(version, predictor)
    else:
        runtime = open_runtime(cast(RuntimeKind, trial.runtime), path, trial.threads)
        once = _bare(runtime)
    once(1)
    opened = time.perf_counter()
    seconds = _timed(lambda: once(1))
    once(BATCH)
    if trial.whole:
        read_prior(version)
        golden_rows = _golden(version, predictor, trial)
    peak_kib = _peak_kib()
    return VerifyReport(
        runtime=runtime.name,
        open_ms=(opened - start) * 1e3,
        invoke_ms=statistics.median(seconds) * 1e3,
        peak_mib=peak_kib / 1024,
        model_mib=path.stat().st_size / (1 << 20),
        golden_rows=golden_rows,
    )


def _peak_kib() -> int:
    """The most memory that this process has had resident.

    Not ru_maxrss: the kernel keeps that over exec, so it starts with what the agent itself had when it forked.
    """
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        lines = []
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _golden(version: Version, predictor: Predictor, trial: Trial) -> int:
    """Makes golden samples if the trial wants it, then runs what the version has; gives their number."""
    if trial.samples:
        source = Path(trial.samples)
        inputs = read_inputs(read_arrays(source), version.manifest, source.name)
        golden = Golden(inputs, predictor.predict(inputs).outputs)
        if trial.prepared:
            prepared = {f"inputs/{name}": array for name, array in predictor.prepare(inputs).items()}
            np.savez(trial.prepared, **prepared)  # type: ignore[arg-type]  # its stubs take every keyword for a flag
        with Path(trial.golden).open("wb") as out:
            write_golden(golden, out)
            out.flush()
            os.fsync(out.fileno())
        return golden.rows
    path = version.folder / GOLDEN
    if not path.exists():
        return 0
    golden = read_golden(path, version.manifest)
    compare(golden, version, predictor.predict(golden.inputs).outputs)
    return golden.rows


def _timed(once: Callable[[], None]) -> list[float]:
    seconds: list[float] = []
    while len(seconds) < MAX_RUNS and sum(seconds) < BUDGET_S:
        start = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - start)
    return seconds


def _bare(runtime: Runtime) -> Callable[[int], None]:
    def once(rows: int) -> None:
        shapes = [(rows, *(1 if size == -1 else size for size in tensor.signature[1:])) for tensor in runtime.inputs]
        arrays = [np.zeros(shape, tensor.dtype) for shape, tensor in zip(shapes, runtime.inputs, strict=True)]
        for tensor, result in zip(runtime.outputs, runtime.infer(arrays), strict=True):
            _check_rows(tensor.name, result, rows)

    return once


def _whole(version: Version, predictor: Predictor) -> Callable[[int], None]:
    classes = len(version.labels) if version.manifest.task.kind is TaskKind.CLASSIFY else None

    def once(rows: int) -> None:
        asked = {canonical.name: _blank(canonical, rows) for canonical in version.manifest.canonical}
        prediction = predictor.predict(asked)
        for name, result in prediction.outputs.items():
            _check_rows(name, result, rows)
        if classes is not None and (prediction.scores is None or prediction.scores.shape != (rows, classes)):
            shape = None if prediction.scores is None else list(prediction.scores.shape)
            raise ModelInvalid(f"scores have shape {shape} for {rows} rows; expected {[rows, classes]}")

    return once


def _check_rows(name: str, result: Array, rows: int) -> None:
    if not result.ndim or len(result) != rows:
        raise ModelInvalid(f"output {name!r} has shape {list(result.shape)} for {rows} rows; expected the rows first")


def _blank(canonical: Canonical, rows: int) -> Array:
    """Rows of zeros, or of small black images."""
    if not canonical.encoded:
        return np.zeros((rows, *canonical.shape), DTYPES.get(canonical.datatype, np.dtype(np.float32)))
    images = np.empty(rows, object)
    images[:] = [_black_png(8)] * rows
    return images


def _black_png(side: int) -> bytes:
    """A gray PNG of zeros: signature, header, data, end (https://www.w3.org/TR/png/)."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(side * (side + 1)))),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


if __name__ == "__main__":
    sys.exit(main())
