"""The benchmark's model as an MLServer runtime: LiteRT, one thread, nothing more than MLServer asks for."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

MODEL = Path(__file__).resolve().parents[1] / "models" / "s" / "model.tflite"


class LiteRtModel(MLModel):  # type: ignore[misc]  # MLServer is not installed where types are checked
    """Model S."""

    async def load(self) -> bool:
        """Opens the interpreter."""
        self._interpreter = Interpreter(str(MODEL), num_threads=1)
        self._source = self._interpreter.get_input_details()[0]["index"]
        self._target = self._interpreter.get_output_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._source, [1, 784])
        self._interpreter.allocate_tensors()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Runs one row."""
        array = NumpyCodec.decode_input(payload.inputs[0])
        self._interpreter.set_tensor(self._source, np.asarray(array, np.float32))
        self._interpreter.invoke()
        output = NumpyCodec.encode_output("probabilities", self._interpreter.get_tensor(self._target))
        return InferenceResponse(model_name=self.name, model_version="1", outputs=[output])
