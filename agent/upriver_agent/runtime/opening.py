"""Choosing a runtime by its name in the configuration."""

from pathlib import Path
from typing import Literal, assert_never

from upriver.errors import RuntimeMissing
from upriver_agent.runtime.litert import open_litert
from upriver_agent.runtime.port import Runtime
from upriver_agent.runtime.tflite_runtime import open_tflite_runtime

RuntimeKind = Literal["auto", "litert", "tflite-runtime"]


def open_runtime(kind: RuntimeKind, path: Path, threads: int = 1) -> Runtime:
    """Opens the model at `path` for one worker.

    `auto` takes LiteRT where it is installed, else tflite-runtime. Raises RuntimeMissing when neither (or not the one
    that was asked for) is installed, ModelInvalid when the model can't be opened.
    """
    match kind:
        case "litert":
            return open_litert(path, threads)
        case "tflite-runtime":
            return open_tflite_runtime(path, threads)
        case "auto":
            return _first_installed(path, threads)
        case _:
            assert_never(kind)


def _first_installed(path: Path, threads: int) -> Runtime:
    try:
        return open_litert(path, threads)
    except RuntimeMissing as no_litert:
        try:
            return open_tflite_runtime(path, threads)
        except RuntimeMissing as no_tflite:
            raise RuntimeMissing(f"no runtime is installed: {no_litert}; {no_tflite}") from no_litert
