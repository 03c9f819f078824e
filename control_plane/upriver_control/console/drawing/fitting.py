"""How things fit into a picture: words, whose room is guessed as no font can be asked, and places on an axis."""

import math
from typing import Final

_LETTER: Final = 6.6
"""Pixels of a letter at 12 pixels: a little more than the average, so that words rather end early than outside."""


def fit(words: str, room: float, size: float = 12.0) -> str:
    """Words cut to fit so many pixels, with `…` where something is missing; empty where nothing fits."""
    most = int(room / (_LETTER * size / 12.0))
    if len(words) <= most:
        return words
    return words[: most - 1] + "…" if most > 1 else ""


def extent(words: str, size: float = 12.0) -> float:
    """The pixels that words take."""
    return len(words) * _LETTER * size / 12.0


def within(share: float) -> float:
    """A share of an axis, cut to 0 to 1; what is no number is at 0."""
    return 0.0 if math.isnan(share) else min(1.0, max(0.0, share))
