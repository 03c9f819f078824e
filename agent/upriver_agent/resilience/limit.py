"""How many questions an upstream may have at once, learnt from its latency.

The gradient of Netflix's concurrency-limits (https://github.com/Netflix/concurrency-limits, Gradient2Limit): the limit
follows the ratio of the usual latency to the latest. While calls take as long as ever it grows by `headroom`; when they
queue, they take longer, and it shrinks. A refusal or a time-out takes its part of it, as AIMD has it.

Unlike there, the usual latency is averaged over calls that began with less than half of the limit in use, or with the
limit at its least: an average over all follows a queue that lasts, and the limit then grows with the queue.
"""

from dataclasses import dataclass

from upriver_agent import document as doc

_LONG = 200  # calls in the average of what is usual
_SHORT = 20  # and while the limit is at its least: an upstream that is slower for good must not be held there for long
_SMOOTHING = 0.2
_TOLERANCE = 1.5
"""So much longer than on average is no queue yet: what an upstream escalates takes longer than what it answers."""


@dataclass(frozen=True, slots=True)
class LimitRules:
    """How many questions one upstream may have from this agent at once.

    It starts at `initial` and stays between `min` and `max`; `min` = `max` fixes it. What is beyond gets the agent's
    own answer at once, so low values protect the upstream and high ones the answers. `headroom` is what it grows by
    while all is well: more finds a fast upstream's limit sooner, and lets longer queues grow. `backoff` is what is left
    of it after a refusal or a time-out.
    """

    initial: int = doc.setting(doc.whole(1, 65_536), 128)
    min: int = doc.setting(doc.whole(1, 65_536), 8)
    max: int = doc.setting(doc.whole(1, 65_536), 1024)
    headroom: float = doc.setting(doc.number(0, 1000), 4.0)
    backoff: float = doc.setting(doc.number(0.1, 1), 0.9)


class Limit:
    """One upstream's limit, and how many questions it has."""

    __slots__ = ("_estimate", "_highest", "_lowest", "_rules", "_seen", "_usual_s", "inflight")

    def __init__(self, rules: LimitRules) -> None:
        self._rules = rules
        self._lowest = float(rules.min)
        self._highest = float(max(rules.min, rules.max))
        self._estimate = min(max(float(rules.initial), self._lowest), self._highest)
        self._usual_s = 0.0
        self._seen = 0
        self.inflight = 0

    @property
    def value(self) -> int:
        """The limit."""
        return int(self._estimate)

    @property
    def full(self) -> bool:
        """Whether it has as many as it may."""
        return self.inflight >= int(self._estimate)

    def begin(self) -> int:
        """Takes a place; gives how many are taken now, 0 when there was none. `answered` wants it back."""
        if self.full:
            return 0
        self.inflight += 1
        return self.inflight

    def answered(self, seconds: float, taken: int) -> None:
        """A call ended with an answer after so long; `taken` is what its `begin` gave."""
        self.inflight -= 1
        busy = 2 * taken >= self._estimate
        least = self._estimate <= self._lowest
        if not busy or not self._seen or least:
            self._seen = min(self._seen + 1, _SHORT if least else _LONG)
            self._usual_s += (seconds - self._usual_s) / self._seen
        if busy:
            gradient = max(0.5, min(1.0, _TOLERANCE * self._usual_s / max(seconds, 1e-9)))
            self._set(self._estimate * (1 - _SMOOTHING + _SMOOTHING * gradient) + _SMOOTHING * self._rules.headroom)

    def dropped(self) -> None:
        """A call was refused for lack of room, or ran out of time."""
        self.inflight -= 1
        self._set(self._estimate * self._rules.backoff)

    def released(self) -> None:
        """A call ended in a way that says nothing of the upstream's load."""
        self.inflight -= 1

    def _set(self, wanted: float) -> None:
        self._estimate = min(max(wanted, self._lowest), self._highest)
