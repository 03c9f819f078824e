"""What is told of troubles with spans: each reason once, and again an hour later. Pure."""

from typing import Final

AGAIN_S: Final = 3600.0
"""After so many seconds a reason is told again."""
_MOST_KNOWN: Final = 16


class Told:
    """Reasons that were told lately."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def is_due(self, why: str, now_s: float) -> bool:
        """Whether a reason is to be told now; it counts as told then."""
        at = self._at.get(why)
        if at is not None and now_s - at < AGAIN_S:
            return False
        self._at.pop(why, None)
        if len(self._at) >= _MOST_KNOWN:
            del self._at[next(iter(self._at))]
        self._at[why] = now_s
        return True
