"""The port that model runtimes stand behind: describe a model's tensors, infer a batch of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output as the runtime knows it.

    `shape` is the one the file holds, `signature` has -1 where a size is free. `scale` 0 means not quantised, else the
    real value is scale · (stored - zero_point).
    """

    name: str
    index: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0


class Runtime(Protocol):
    """One model in one interpreter's hands: not thread-safe, one for each worker."""

    @property
    def name(self) -> str:
        """The runtime's name and version, such as `litert 2.3.0`."""
        ...

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs, in the order that `infer` takes them."""
        ...

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The outputs, in the order that `infer` gives them."""
        ...

    def infer(self, inputs: Sequence[Array]) -> list[Array]:
        """Runs rows through the model.

        Every array is [rows, ...] with the same number of rows (at least one) and exactly its tensor's type. Gives new
        arrays, [rows, ...] each, as the tensors store them (not dequantised). Raises InvalidInput for arrays that do
        not fit and InferenceFailed when the runtime refuses to run.
        """
        ...
