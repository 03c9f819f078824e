"""How many questions prove a share, and how many losses among them still do: without SciPy, which takes 60 MB."""

import math

from upriver.binomial import allowed

__all__ = ["allowed", "questions_needed"]


def questions_needed(epsilon: float, delta: float) -> int:
    """How many questions without a single loss prove a share of at most epsilon: n ≥ ln δ / ln(1 - ε)."""
    needed = math.ceil(math.log(delta) / math.log1p(-epsilon))
    while (1.0 - epsilon) ** needed > delta:  # the logarithms were rounded
        needed += 1
    return needed
