"""tflite-runtime, for 32-bit Arm and older systems: the only module that imports it."""

from importlib import metadata
from pathlib import Path

from upriver.errors import RuntimeMissing
from upriver_agent.runtime.interpreter import Interpreter, InterpreterRuntime, open_interpreters

KIND = "tflite-runtime"


def open_tflite_runtime(path: Path, threads: int) -> InterpreterRuntime:
    """Opens a model; raises RuntimeMissing without the package, ModelInvalid for a bad model."""
    try:
        from tflite_runtime.interpreter import Interpreter as TfLite
    except ImportError as error:
        raise RuntimeMissing(
            f"runtime 'tflite-runtime' needs the package tflite-runtime and numpy<2 ({error}): upriver[agent] brings"
            " it on 32-bit Arm; elsewhere install it by hand, or use runtime 'litert'"
        ) from error

    def make() -> Interpreter:
        interpreter: Interpreter = TfLite(model_path=str(path), num_threads=threads)
        return interpreter

    return open_interpreters(f"{KIND} {metadata.version('tflite-runtime')}", make, path)
