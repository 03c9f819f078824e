"""Trying a version before it is published, in a child process: the agent's own examination, which it runs as a program.

A malformed flatbuffer can crash, hang or swell a native interpreter; then a child of the child goes down. Everything
that is started is in a process group of its own and ends with its time.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from upriver.errors import GoldenMismatch, ModelInvalid, RuntimeMissing
from upriver_control.store.records import Requirements, Validation

CHILD: Final = "upriver_agent.examination"
MAX_ANSWER: Final = 1 << 20
MAX_TOLD: Final = 20
_OVERHEAD_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What trying one version may take: seconds, and memory of each process."""

    timeout_s: float = 60.0
    memory_mib: int = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """A version that passed: what its manifest and flatbuffer say, and what was measured."""

    model: str
    version: str
    description: str
    digest: str
    requirements: Requirements
    validation: Validation


class Validate(Protocol):
    """Tries the version in a folder."""

    def __call__(self, folder: Path) -> Verdict:
        """Raises ModelInvalid with all problems, GoldenMismatch, and RuntimeMissing where nothing can run it."""
        ...


@dataclass(frozen=True, slots=True)
class ChildValidation:
    """Validates in a child process."""

    limits: Limits = Limits()
    runtime: str = "auto"

    def __call__(self, folder: Path) -> Verdict:
        """See `Validate`."""
        order = {"folder": str(folder), "runtime": self.runtime, **asdict(self.limits)}
        return _verdict(_examined(order, self.limits))


def make_golden(
    folder: Path, samples: Path, golden: Path, prepared: Path | None = None, limits: Limits = Limits()
) -> int:
    """Runs the version in a folder on inputs, in a child process, and writes its golden samples; gives their rows.

    `samples` is an .npz file with arrays `inputs/<canonical name>` [rows, *shape]. What the model itself is given for
    them goes to `prepared`, as `inputs/<tensor name>`. Raises as `Validate` does.
    """
    order = {"folder": str(folder), "samples": str(samples), "golden": str(golden), **asdict(limits)}
    if prepared is not None:
        order["prepared"] = str(prepared)
    return _verdict(_examined(order, limits)).validation.golden_rows


def _examined(order: dict[str, Any], limits: Limits) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", CHILD, json.dumps(order)]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and program, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as child:
        try:
            answer, complaint = child.communicate(timeout=limits.timeout_s + _OVERHEAD_S)
        except subprocess.TimeoutExpired as error:
            _end(child.pid)
            raise ModelInvalid(f"looking the version over took more than {limits.timeout_s:g} s") from error
        except BaseException:
            _end(child.pid)
            raise
    told = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if child.returncode != 0:
        if "No module named" in told:
            raise RuntimeMissing(
                "versions are tried by the agent, which is not installed: pip install 'upriver[agent]'"
            )
        raise ModelInvalid(f"looking the version over failed with exit status {child.returncode}: {told}")
    try:
        document: dict[str, Any] = json.loads(answer[:MAX_ANSWER])
    except ValueError as error:
        raise ModelInvalid(f"looking the version over ended without an answer: {told}") from error
    return document


def _end(group: int) -> None:
    """Ends a process group that we started; its leader was not waited for yet, so the id is still its own."""
    os.killpg(group, signal.SIGKILL)


def _verdict(answer: dict[str, Any]) -> Verdict:
    problems = [str(problem) for problem in answer["problems"][:MAX_TOLD]]
    listed = problems[0] if len(problems) == 1 else "".join(f"\n  - {problem}" for problem in problems)
    match answer["kind"]:
        case "passed":
            pass
        case "golden":
            raise GoldenMismatch(listed)
        case "missing":
            raise RuntimeMissing(listed)
        case _:
            raise ModelInvalid(f"the version can't be published: {listed}")
    known, report = answer["version"], answer["report"]
    return Verdict(
        model=known["model"],
        version=known["version"],
        description=known["description"],
        digest=known["digest"],
        requirements=Requirements(known["memory_bytes"], known["min_runtime"], tuple(known["operators"])),
        validation=Validation(
            runtime=report["runtime"],
            invoke_ms=report["invoke_ms"],
            golden_rows=report["golden_rows"],
            task=known["task"],
            policy_document=known["policy_document"],
        ),
    )
