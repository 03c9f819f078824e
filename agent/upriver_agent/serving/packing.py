"""Compresses the tensors that go up, as far as it pays."""

from typing import Final

from upriver import zstd
from upriver_agent.payoff import SAMPLE, Payoff, pays

_MOST: Final = 1024


class Packer:
    """What an agent has learnt of its models' inputs. Any thread may use it: two that meet lose one observation."""

    def __init__(self, enabled: bool = True) -> None:
        """`enabled` is what the operator wants; without zstd installed nothing is compressed either way."""
        self.able = enabled and zstd.available()
        self._known: dict[tuple[str, str], Payoff] = {}

    def __call__(self, model: str, name: str, data: bytes) -> bytes | None:
        """The contents of an input as one zstd frame over all rows; None when they are better sent as they are."""
        key = (model, name)
        known = self._known.get(key) or Payoff()
        if not self.able or not known.worth_trying(len(data)):
            if known.left:
                self._known[key] = known.passed_over()
            return None
        if not known.known and len(data) > SAMPLE:
            sample = zstd.pack(data[:SAMPLE])
            if not pays(SAMPLE, len(sample)):
                self._learn(key, known.tried(SAMPLE, len(sample)))
                return None
        packed = zstd.pack(data)
        self._learn(key, known.tried(len(data), len(packed)))
        return packed if pays(len(data), len(packed)) else None

    def least(self, model: str, name: str, size: int) -> int:
        """What an input of `size` bytes takes at least: all of it when it would be sent as it is, 0 when unknown."""
        known = self._known.get((model, name)) or Payoff()
        return 0 if self.able and known.worth_trying(size) else size

    def _learn(self, key: tuple[str, str], payoff: Payoff) -> None:
        if key in self._known or len(self._known) < _MOST:
            self._known[key] = payoff
