"""How many calls there were lately and how many of them failed, in bounded memory."""

_SLOTS = 10


class Window:
    """Counts over the last `length_s` seconds, in ten slots: what is counted is between nine tenths and all of them."""

    __slots__ = ("_calls", "_current", "_failures", "_slot_s")

    def __init__(self, length_s: float) -> None:
        self._slot_s = length_s / _SLOTS
        self._calls = [0] * _SLOTS
        self._failures = [0] * _SLOTS
        self._current = 0

    def add(self, now: float, failed: bool) -> None:
        """Counts one call."""
        self._advance(now)
        slot = self._current % _SLOTS
        self._calls[slot] += 1
        self._failures[slot] += failed

    def counts(self, now: float) -> tuple[int, int]:
        """Calls, and how many of them failed."""
        self._advance(now)
        return sum(self._calls), sum(self._failures)

    def clear(self) -> None:
        """Forgets everything."""
        self._calls = [0] * _SLOTS
        self._failures = [0] * _SLOTS

    def _advance(self, now: float) -> None:
        wanted = int(now // self._slot_s)
        for number in range(max(self._current + 1, wanted - _SLOTS + 1), wanted + 1):
            self._calls[number % _SLOTS] = 0
            self._failures[number % _SLOTS] = 0
        self._current = max(self._current, wanted)
