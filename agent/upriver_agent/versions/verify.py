"""Trying a version in a child process, with bounds on time and memory, before anything native touches it here.

A malformed flatbuffer can crash, hang or swell a native interpreter; then only the child goes down, and the reason
becomes an error.
"""

import hashlib
import json
import logging
import math
import os
import platform
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from upriver.errors import GoldenMismatch, ModelInvalid, RuntimeMissing
from upriver.whole import write_whole
from upriver_agent.versions.store import Version

CHILD: Final = "upriver_agent.self_test"
DEFAULT_TIMEOUT_S: Final = 60.0
DEFAULT_MEMORY_MIB: Final = 4096
NICER: Final = 10
"""By so much more than we are: the child gets about a tenth of a core's time where we want all of it."""
_LOG: Final = logging.getLogger(__name__)
_SHOWN: Final = 2000
_RUNTIME_PACKAGES: Final = ("ai-edge-litert", "tflite-runtime", "numpy")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What the child measured: opening the model, one row through it (median), and its own peak memory.

    `invoke_ms` is preprocessing and inference together; `golden_rows` golden samples came out as expected.
    """

    runtime: str
    open_ms: float
    invoke_ms: float
    peak_mib: float
    model_mib: float
    golden_rows: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What the child is to try. With `whole` the folder's version, else only the bare .tflite file at `path`.

    With `samples`, a file of inputs, their outputs become the golden samples that are written to `golden`, and the
    model's own inputs are written to `prepared` as an .npz file, unless that is empty.
    """

    path: str
    whole: bool
    runtime: str
    threads: int
    timeout_s: float
    memory_mib: int
    samples: str = ""
    golden: str = ""
    prepared: str = ""


def verify_version(
    version: Version,
    runtime: str = "auto",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    memory_mib: int = DEFAULT_MEMORY_MIB,
    *,
    threads: int = 1,
    remember: Path | None = None,
) -> VerifyReport:
    """Opens a version in a child process, holds it against its manifest, runs a few rows and its golden samples.

    Raises GoldenMismatch when those do not come out, ModelInvalid with the reason when anything else fails, crashes, or
    takes more than `timeout_s` or `memory_mib`; RuntimeMissing when the runtime is not installed. With `remember`, a
    folder, a version that has passed is not tried again by the same runtime on the same machine.
    """
    note = None if remember is None else remember / f"{_key(version.digest, runtime, threads)}.json"
    known = None if note is None else _recalled(note)
    if known is not None:
        return known
    trial = Trial(str(version.folder), True, runtime, threads, timeout_s, memory_mib)
    report = run_trial(trial, f"{version.manifest.model}/{version.manifest.version}")
    if note is not None:
        _remembered(note, report)
    return report


def run_trial(trial: Trial, name: str) -> VerifyReport:
    """Runs one trial in a child process; raises as `verify_version` does. `name` is what errors call it."""
    command = [sys.executable, "-P", "-m", CHILD, json.dumps(asdict(trial))]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
    except OSError as error:
        raise ModelInvalid(f"{name}: the self-test could not be started: {error}") from error
    with child:
        _give_way(child.pid)
        try:
            stdout, stderr = child.communicate(timeout=trial.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ModelInvalid(f"{name}: the self-test took more than {trial.timeout_s:g} s") from error
        finally:
            child.kill()  # no effect when it has ended
    if child.returncode == 0:
        return _read(stdout, name)
    complaint = stderr.decode("utf-8", "replace").strip()[-_SHOWN:]
    if child.returncode < 0:
        how = _signal_name(-child.returncode)
        raise ModelInvalid(f"{name}: the runtime crashed on it in the self-test ({how}){_last_line(complaint)}")
    raise ModelInvalid(f"{name}: the self-test failed with exit status {child.returncode}{_last_line(complaint)}")


def _give_way(child: int) -> None:
    """Has a child run with what other processes leave: an agent goes on answering while it tries a version."""
    try:
        os.setpriority(os.PRIO_PROCESS, child, min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICER))
    except OSError as error:  # it has ended already, or is niced more by whoever started us
        _LOG.debug("the self-test keeps its priority: %s", error)


def _read(stdout: bytes, name: str) -> VerifyReport:
    try:
        told = json.loads(stdout)
    except ValueError as error:
        raise ModelInvalid(f"{name}: the self-test ended without a report") from error
    if told["kind"] == "missing":
        raise RuntimeMissing(str(told["reason"]))
    if told["kind"] == "golden":
        raise GoldenMismatch(str(told["reason"]))
    if told["kind"] == "invalid":
        raise ModelInvalid(f"{name}: {told['reason']}")
    return VerifyReport(**told["report"])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(complaint: str) -> str:
    lines = [line for line in complaint.splitlines() if not line.startswith("INFO:")]
    return f": {lines[-1]}" if lines else ""


def _key(digest: str, runtime: str, threads: int) -> str:
    """Names everything that a passed trial depends on."""
    parts: list[Any] = [digest, runtime, threads, platform.python_version(), platform.machine(), platform.node()]
    for package in _RUNTIME_PACKAGES:
        try:
            parts.append([package, metadata.version(package)])
        except metadata.PackageNotFoundError:
            parts.append([package, None])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _recalled(note: Path) -> VerifyReport | None:
    """A report from an earlier trial; None when there is none or it can't be read, and the trial is run again."""
    try:
        told = json.loads(note.read_bytes())
        report = VerifyReport(**told)
        numbers = (report.golden_rows, report.open_ms, report.invoke_ms, report.peak_mib, report.model_mib)
        return report if all(math.isfinite(number) for number in numbers) else None
    except (OSError, ValueError, TypeError):
        return None


def _remembered(note: Path, report: VerifyReport) -> None:
    try:
        write_whole(note, json.dumps(asdict(report)).encode())
    except OSError as error:
        _LOG.warning(
            "can't note in %s that a version has passed (%s): it is tried again at the next start", note, error
        )
