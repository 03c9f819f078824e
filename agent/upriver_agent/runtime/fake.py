"""A runtime made of a function, for tests that must not depend on a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upriver_agent.runtime.port import Array, TensorInfo


@dataclass(frozen=True, slots=True)
class FakeRuntime:
    """Answers with `function(inputs)`, which takes and gives arrays as `Runtime.infer` does."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    function: Callable[[Sequence[Array]], list[Array]]
    name: str = "fake"

    def infer(self, inputs: Sequence[Array]) -> list[Array]:
        """Calls the function."""
        return self.function(inputs)
