"""Raw invoke: the model in LiteRT with nothing around it. Prints JSON for each line of standard input."""

import json
import resource
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()

import numpy as np  # noqa: E402 - the cold start counts the imports
from ai_edge_litert.interpreter import Interpreter  # noqa: E402 - likewise

MODEL = Path(__file__).parent / "models" / "s" / "model.tflite"


def main() -> None:
    """Runs as many invocations as each line says."""
    interpreter = Interpreter(str(MODEL), num_threads=1)
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(source, [1, 784])
    interpreter.allocate_tensors()
    image = np.random.default_rng(1).random((1, 784), dtype=np.float32)

    def once() -> None:
        interpreter.set_tensor(source, image)
        interpreter.invoke()
        interpreter.get_tensor(target)

    once()
    print(json.dumps({"cold_s": time.perf_counter() - STARTED}), flush=True)
    for line in sys.stdin:
        count = int(line)
        took = np.empty(count)
        cpu, wall = time.process_time(), time.perf_counter()
        for index in range(count):
            begin = time.perf_counter()
            once()
            took[index] = time.perf_counter() - begin
        seconds = time.perf_counter() - wall
        told = {
            "cpu_us": (time.process_time() - cpu) / count * 1e6,
            "p50_us": float(np.percentile(took, 50)) * 1e6,
            "p99_us": float(np.percentile(took, 99)) * 1e6,
            "rps": count / seconds,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
