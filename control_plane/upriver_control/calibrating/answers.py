"""One tier's answers to all questions, made by the agent's own program in a child process."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upriver.agreement import Answered
from upriver.errors import DiskTrouble, ModelInvalid, RuntimeMissing
from upriver.questions import read_rows
from upriver.scores import ScoreKind
from upriver_control.calibration.inputs import TierOutputs
from upriver_control.jobs import TierSpec

CHILD: Final = "upriver_agent.answering"
CONFIDENCES: Final = "confidences/"
_OVERHEAD_S: Final = 30.0
_SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class Order:
    """As `upriver_agent.answering.Order` reads it."""

    folder: str
    questions: str
    answers: str
    timeout_s: float
    memory_mib: int
    head: str = ""
    embeddings: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """A tier's outputs, what its task calls agreement, and the time of its model for one row here."""

    outputs: TierOutputs
    agreement: str
    ms_per_row: float


def answers(
    tier: TierSpec,
    version: Path,
    questions: Path,
    out: Path,
    timeout_s: float,
    memory_mib: int,
    told: Callable[[int], None],
    head: Path | None = None,
) -> Answers:
    """Has the version in a folder answer a questions file, with a head if one is given; `told` gets the rows that are
    done.

    Raises ModelInvalid, RuntimeMissing and DiskTrouble, which name the tier and the version.
    """
    order = Order(str(version), str(questions), str(out), timeout_s, memory_mib, str(head or ""))
    try:
        said = run_answering(order, f"tier {tier.tier} ({tier.version})", told)
        arrays = _gathered(out)
    finally:
        out.unlink(missing_ok=True)
    return Answers(_outputs(tier, said, arrays), str(said["agreement"]), float(said["ms_per_row"]))


def run_answering(order: Order, who: str, told: Callable[[int], None]) -> dict[str, Any]:
    """Has the agent's program carry out an order; gives what it said in the end. Raises as `answers` does."""
    command = [sys.executable, "-P", "-m", CHILD, json.dumps(asdict(order))]
    complaints = Path(f"{order.answers}.err")
    said: dict[str, Any] = {}
    try:
        with (
            complaints.open("wb") as stderr,
            subprocess.Popen(  # noqa: S603 - our own interpreter and program, no shell
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            ) as child,
        ):
            try:
                for line in child.stdout or ():
                    said = json.loads(line)
                    if "rows" in said:
                        told(int(said["rows"]))
                code = child.wait(order.timeout_s + _OVERHEAD_S)
            finally:
                child.kill()  # no effect when it has ended
        complaint = _last_line(complaints.read_text("utf-8", "replace"))
    finally:
        complaints.unlink(missing_ok=True)
    if code < 0:
        if -code == signal.SIGXCPU:
            raise ModelInvalid(f"{who}: answering took more than {order.timeout_s:g} s of processor time")
        raise ModelInvalid(f"{who}: the model crashed its runtime ({signal.Signals(-code).name})")
    match said.get("kind"):
        case "answered":
            return said
        case "missing":
            raise RuntimeMissing(f"{who}: {said['reason']}")
        case "disk":
            raise DiskTrouble(f"{who}: {said['reason']}")
        case "invalid":
            raise ModelInvalid(f"{who}: {said['reason']}")
    if "No module named" in complaint:
        raise RuntimeMissing("versions are run by the agent, which is not installed: pip install 'upriver[agent]'")
    raise ModelInvalid(f"{who}: answering failed with exit status {code}: {complaint}")


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if not line.startswith("INFO:")]
    return lines[-1][:_SHOWN] if lines else ""


def _gathered(path: Path) -> dict[str, NDArray[Any]]:
    parts: dict[str, list[NDArray[Any]]] = {}
    for group in read_rows(path):
        for name, array in group.items():
            parts.setdefault(name, []).append(array)
    return {name: np.concatenate(some) for name, some in parts.items()}


def _outputs(tier: TierSpec, said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> TierOutputs:
    parts = {name: array for name, array in arrays.items() if not name.startswith(CONFIDENCES)}
    confidences = {
        ScoreKind(name.removeprefix(CONFIDENCES)): np.asarray(array, np.float64)
        for name, array in arrays.items()
        if name.startswith(CONFIDENCES)
    }
    return TierOutputs(
        tier=tier.tier,
        version_digest=tier.version_digest,
        answered=Answered(labels=tuple(said["labels"]), **parts),
        are_logits=bool(said["are_logits"]) and not confidences,
        confidences=confidences,
        box_threshold=float(said["box_threshold"]),
    )
