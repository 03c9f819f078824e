"""LiteRT (`ai-edge-litert`), the runtime of choice: the only module that imports it."""

from importlib import metadata
from pathlib import Path

from upriver.errors import RuntimeMissing
from upriver_agent.runtime.interpreter import Interpreter, InterpreterRuntime, open_interpreters

KIND = "litert"


def open_litert(path: Path, threads: int) -> InterpreterRuntime:
    """Opens a model with XNNPACK on; raises RuntimeMissing without the package, ModelInvalid for a bad model."""
    try:
        from ai_edge_litert.interpreter import Interpreter as LiteRt
    except ImportError as error:
        raise RuntimeMissing(
            f"runtime 'litert' needs the package ai-edge-litert ({error}): install upriver[agent];"
            " on 32-bit Arm, where it does not exist, the same extra brings tflite-runtime"
        ) from error

    def make() -> Interpreter:
        interpreter: Interpreter = LiteRt(model_path=str(path), num_threads=threads)
        return interpreter

    return open_interpreters(f"{KIND} {metadata.version('ai-edge-litert')}", make, path)
