"""Looks a version over for those who publish it, as a process of its own: `python -m upriver_agent.examination JSON`.

The argument is an Order. One JSON object goes to standard output: `problems`, all that were found, and what is known of
the version as far as it could be read. Whoever starts it bounds its time; what is native runs in a child of its own.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upriver import child
from upriver.archive import sums
from upriver.errors import GoldenMismatch, ManifestError, ModelInvalid, ProblemList, RuntimeMissing, UpriverError
from upriver.listing import version_digest
from upriver.policies import write_policy
from upriver_agent.versions import VerifyReport, Version, verify_version
from upriver_agent.versions.store import load_folder
from upriver_agent.versions.verify import Trial, run_trial


@dataclass(frozen=True, slots=True)
class Order:
    """What to look at: a version's folder. `samples`, `golden` and `prepared` are as in a Trial."""

    folder: str
    runtime: str = "auto"
    timeout_s: float = 60.0
    memory_mib: int = 4096
    samples: str = ""
    golden: str = ""
    prepared: str = ""


def main() -> int:
    """Does what the command line orders; the exit status is 0 whenever there is an answer."""
    order = Order(**json.loads(sys.argv[1]))
    answers = child.answering()
    child.limit(order.memory_mib, order.timeout_s)
    try:
        answer = examine(order)
    except MemoryError:
        answer = _refused("invalid", [f"looking it over needed more than {order.memory_mib} MiB"])
    with answers as out:
        json.dump(answer, out, allow_nan=False)
    return 0


def examine(order: Order) -> dict[str, Any]:
    """The answer to an order, as plain values. `kind` is `passed`, `invalid`, `golden` or `missing` (a runtime)."""
    folder = Path(order.folder)
    try:
        version = load_folder(folder, version_digest(sums(folder)), folder.name)
    except OSError as error:
        return _refused("invalid", [f"can't read {error.filename}: {error.strerror}"])
    except UpriverError as error:
        prefix = "manifest.toml: " if isinstance(error, ManifestError) else ""
        told = error.problems if isinstance(error, ProblemList) else (str(error),)
        return _refused("invalid", [prefix + problem for problem in told])
    problems = _operators(version)
    known = _known(version)
    if problems:
        return _refused("invalid", problems) | {"version": known}
    try:
        report = _run(order, version)
    except RuntimeMissing as error:
        return _refused("missing", [str(error)]) | {"version": known}
    except GoldenMismatch as error:
        return _refused("golden", [str(error)]) | {"version": known}
    except ModelInvalid as error:
        return _refused("invalid", [str(error)]) | {"version": known}
    return {"kind": "passed", "problems": [], "version": known, "report": asdict(report)}


def _run(order: Order, version: Version) -> VerifyReport:
    if not order.samples:
        return verify_version(version, order.runtime, order.timeout_s, order.memory_mib)
    trial = Trial(
        path=order.folder,
        whole=True,
        runtime=order.runtime,
        threads=1,
        timeout_s=order.timeout_s,
        memory_mib=order.memory_mib,
        samples=order.samples,
        golden=order.golden,
        prepared=order.prepared,
    )
    return run_trial(trial, f"{version.manifest.model}/{version.manifest.version}")


def _refused(kind: str, problems: list[str]) -> dict[str, Any]:
    return {"kind": kind, "problems": problems}


def _operators(version: Version) -> list[str]:
    """One problem for each operator that no runtime on a device brings."""
    return [
        f"operator {name}: is TensorFlow's and in no TFLite runtime; convert with TFLITE_BUILTINS only, or take it out"
        if name.startswith("Flex")
        else f"operator {name}: is custom, and runtimes bring builtin operators only; take it out of the model"
        for name in version.model.custom_operators
    ] + [
        f"{name}: unknown to this program; known are builtin operators up to its own TFLite schema"
        for name in version.model.operators
        if name.startswith("operator ")
    ]


def _known(version: Version) -> dict[str, Any]:
    manifest, model = version.manifest, version.model
    return {
        "model": manifest.model,
        "version": manifest.version,
        "description": manifest.description,
        "digest": version.digest,
        "task": manifest.task.kind.value,
        "memory_bytes": model.size_bytes + model.activation_bytes,
        "min_runtime": model.min_runtime,
        "operators": list(model.operators),
        "policy_document": write_policy(manifest.policy_document(version.digest)),
    }


if __name__ == "__main__":
    sys.exit(main())
