"""Whether a device can run a version, judged from the version's signed facts before anything is fetched. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MEMORY_SHARE = 0.8
"""The share of a device's memory that one model may need: the rest is the system's and the agent's own."""
_VERSION = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a version needs: bytes on disk, bytes of memory, operators, and the oldest runtime that has them all.

    `min_runtime` is TensorFlow's numbering, as the converter writes it into the file; empty when it is not known.
    """

    size_bytes: int
    memory_bytes: int
    min_runtime: str = ""
    operators: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """What an agent runs on. `runtime` is `litert`, `tflite-runtime`, or empty where none is installed."""

    machine: str
    cores: int
    memory_bytes: int
    disk_budget_bytes: int
    runtime: str
    runtime_version: str


def unfit(needs: Needs, device: Device) -> str:
    """Why a device can't run a version, with what it would need; empty when it can."""
    problems = []
    if not device.runtime:
        problems.append("no runtime is installed; expected ai-edge-litert or tflite-runtime")
    allowed = int(device.memory_bytes * MEMORY_SHARE)
    if needs.memory_bytes > allowed:
        problems.append(
            f"it needs {_mib(needs.memory_bytes)} of memory; this device has {_mib(device.memory_bytes)}, "
            f"of which a model may use {_mib(allowed)}"
        )
    if needs.size_bytes > device.disk_budget_bytes:
        problems.append(
            f"its files take {_mib(needs.size_bytes)}; this agent keeps at most {_mib(device.disk_budget_bytes)}"
        )
    strange = sorted(name for name in needs.operators if name.startswith(("FLEX", "Flex", "CUSTOM")))
    if strange:
        problems.append(f"it has operators that are not built in: {', '.join(strange)}")
    # LiteRT counts its own versions and has all operators of the TensorFlow releases before it; the old runtime
    # carries TensorFlow's numbers.
    if device.runtime == "tflite-runtime" and _older(device.runtime_version, needs.min_runtime):
        problems.append(
            f"its operators need runtime {needs.min_runtime} or later; this device has {device.runtime_version}"
        )
    return "; ".join(problems)


def _older(have: str, need: str) -> bool:
    mine, wanted = _VERSION.match(have), _VERSION.match(need)
    return mine is not None and wanted is not None and _numbers(mine[0]) < _numbers(wanted[0])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
