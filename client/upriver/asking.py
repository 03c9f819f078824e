"""What a caller can ask of the cascade beside the question itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from upriver import parameters as names
from upriver.errors import InvalidInput
from upriver.parameters import Mode
from upriver.values import ParameterValue


class AskOptions(TypedDict, total=False):
    """Keyword arguments of `infer` and `stream`."""

    version: str
    """The version to ask; "" is the agent's choice."""
    timeout: float | None
    """Seconds for the answer, retries included; None is the client's own."""
    max_tier: str | None
    """The highest tier that may be asked."""
    min_confidence: float | None
    """Raises the policy's threshold; it never lowers it."""
    mode: str
    """`auto`, `local` (answer where asked) or `top` (let the highest tier answer)."""
    region_only: bool
    """Whether the question must stay in the touch point's region."""
    learn: bool
    """Consent to keep the input for learning."""
    outputs: Sequence[str]
    """Outputs to send back; none named: all."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The checked form of AskOptions."""

    version: str = ""
    timeout: float | None = None
    max_tier: str | None = None
    min_confidence: float | None = None
    mode: str = Mode.AUTO
    region_only: bool = False
    learn: bool = False
    outputs: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raises InvalidInput naming what is wrong and what is allowed."""
        modes = [mode.value for mode in Mode]
        if self.mode not in modes:
            raise InvalidInput(f"mode={self.mode!r}: allowed are {', '.join(modes)}")
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise InvalidInput(f"timeout={self.timeout!r}: expected seconds, more than 0")
        if self.min_confidence is not None and not math.isfinite(self.min_confidence):
            raise InvalidInput(f"min_confidence={self.min_confidence!r}: expected a finite number")
        if isinstance(self.outputs, str):
            raise InvalidInput(f"outputs={self.outputs!r}: expected a list of output names")

    def parameters(self) -> dict[str, ParameterValue]:
        """The request parameters; what is default is left out."""
        parameters: dict[str, ParameterValue] = {}
        if self.mode != Mode.AUTO:
            parameters[names.MODE] = str(self.mode)
        if self.max_tier is not None:
            parameters[names.MAX_TIER] = self.max_tier
        if self.min_confidence is not None:
            parameters[names.MIN_CONFIDENCE] = float(self.min_confidence)
        if self.region_only:
            parameters[names.REGION_ONLY] = True
        if self.learn:
            parameters[names.LEARN] = True
        return parameters
