"""What this agent runs on."""

import os
import platform
from importlib import metadata

from upriver_agent.installing.fit import Device
from upriver_agent.runtime import RuntimeKind

_PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}


def look(runtime: RuntimeKind, disk_budget_bytes: int) -> Device:
    """Reads the machine's facts and which of the runtimes that may be used is installed."""
    wanted = tuple(_PACKAGES) if runtime == "auto" else (runtime,)
    found = next(((kind, version) for kind in wanted if (version := _installed(_PACKAGES[kind]))), ("", ""))
    return Device(
        machine=platform.machine(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        disk_budget_bytes=disk_budget_bytes,
        runtime=found[0],
        runtime_version=found[1],
    )


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
