"""The benchmark's model as a KServe Python server: LiteRT, one thread, nothing more than KServe asks for."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

MODEL = Path(__file__).resolve().parents[1] / "models" / "s" / "model.tflite"


class LiteRtModel(Model):  # type: ignore[misc]  # KServe is not installed where types are checked
    """Model S."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._interpreter = Interpreter(str(MODEL), num_threads=1)
        self._source = self._interpreter.get_input_details()[0]["index"]
        self._target = self._interpreter.get_output_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._source, [1, 784])
        self._interpreter.allocate_tensors()
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None, **_: object) -> InferResponse:
        """Runs one row."""
        del headers
        self._interpreter.set_tensor(self._source, np.asarray(payload.inputs[0].as_numpy(), np.float32))
        self._interpreter.invoke()
        output = InferOutput("probabilities", [1, 10], "FP32")
        output.set_data_from_numpy(self._interpreter.get_tensor(self._target), binary_data=True)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    ModelServer().start([LiteRtModel("s")])
