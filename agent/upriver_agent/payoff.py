"""Whether an input of a model is worth compressing: what it came to before says what it will come to next.

An input that does not shrink (encoded images, noise) is let alone for a while, each time for twice as long, then tried
again: what cameras see changes.
"""

from dataclasses import dataclass, replace
from typing import Final

SMALLEST: Final = 128
"""Bytes below which there is nothing to gain: the mark on the tensor takes some too."""
SAMPLE: Final = 65_536
"""Bytes of a longer tensor that are tried first while nothing is known of it."""
_MARK: Final = 32
_WORTH: Final = 0.9
_FIRST_PAUSE: Final = 16
_LONGEST_PAUSE: Final = 4096


@dataclass(frozen=True, slots=True)
class Payoff:
    """What is known of one input of one model: its last share of the bytes, and for how many requests to let it be."""

    share: float = 1.0
    pause: int = 0
    left: int = 0

    def worth_trying(self, size: int) -> bool:
        """Whether a tensor of so many bytes is to be compressed now."""
        return size >= SMALLEST and self.left == 0

    @property
    def known(self) -> bool:
        """Whether it shrank when it was last tried."""
        return self.share <= _WORTH

    def passed_over(self) -> "Payoff":
        """One was sent as it is."""
        return replace(self, left=self.left - 1) if self.left else self

    def tried(self, size: int, packed: int) -> "Payoff":
        """One of `size` bytes came to `packed`."""
        share = packed / size
        if share <= _WORTH:
            return Payoff(share)
        pause = min(_LONGEST_PAUSE, 2 * self.pause or _FIRST_PAUSE)
        return Payoff(share, pause, pause)


def pays(size: int, packed: int) -> bool:
    """Whether sending the compressed form takes fewer bytes, its mark included."""
    return packed + _MARK <= _WORTH * size
