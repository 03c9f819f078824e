"""What converting cost: outputs of a variant against the original's. Pure but for numpy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MIN_AGREEMENT: Final = 0.99
MAX_LOSS: Final = 0.005


class Quantise(StrEnum):
    """How weights and activations are kept: as floats, weights as int8, or all as int8."""

    FLOAT = "float"
    DYNAMIC_RANGE = "dynamic-range"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Cost:
    """One variant. Figures are None where they can't be had: without samples, scores or labels.

    `agreement` is the share of rows with the original's winning class, `max_difference` the largest one over all
    outputs, `accuracy` the share of rows whose winning class is their label's.
    """

    how: Quantise
    size_bytes: int
    agreement: float | None = None
    max_difference: float | None = None
    accuracy: float | None = None
    original_accuracy: float | None = None

    def as_document(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"how": self.how.value}


def cost_of(
    how: Quantise,
    size_bytes: int,
    original: Mapping[str, Array],
    found: Mapping[str, Array],
    scores: str | None,
    labels: Array | None,
) -> Cost:
    """Compares outputs by name, [rows, ...]; `scores` names a classifier's and `labels` are class numbers [rows]."""
    difference = max(
        (float(np.abs(found[name].astype(np.float64) - original[name].astype(np.float64)).max(initial=0.0))
         for name in original),
        default=math.nan,
    )  # fmt: skip
    agreement = accuracy = original_accuracy = None
    if scores is not None and scores in found and scores in original:
        before, after = (
            outputs[scores].reshape(len(outputs[scores]), -1).argmax(axis=1) for outputs in (original, found)
        )
        agreement = float((before == after).mean())
        if labels is not None:
            accuracy, original_accuracy = float((after == labels).mean()), float((before == labels).mean())
    return Cost(how, size_bytes, agreement, difference, accuracy, original_accuracy)


def choose(costs: Sequence[Cost]) -> Cost:
    """The smallest variant that agrees with the original on 99 % and loses at most half a point of accuracy.

    Variants that were not compared are not believed; without any that is good enough it is the float one.
    """
    good = [cost for cost in costs if _good(cost)]
    return min(good or [cost for cost in costs if cost.how is Quantise.FLOAT], key=lambda cost: cost.size_bytes)


def _good(cost: Cost) -> bool:
    if cost.agreement is None or cost.agreement < MIN_AGREEMENT:
        return False
    if cost.accuracy is None or cost.original_accuracy is None:
        return True
    return cost.original_accuracy - cost.accuracy <= MAX_LOSS
