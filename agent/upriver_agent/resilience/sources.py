"""How fast each agent below may escalate to this one: a token bucket for each, in a table of bounded size."""

from collections import OrderedDict
from dataclasses import dataclass

from upriver_agent import document as doc


@dataclass(frozen=True, slots=True)
class SourceRules:
    """How many questions a second one agent may escalate to this one, and how many at once.

    `per_s` 0 is no limit. It keeps an agent whose policy went wrong, so that it escalates everything, from taking the
    tier above for itself. Beyond it questions are refused as by a full agent, and the agent below answers them itself.
    At most `max_sources` agents are told apart; when there are more, those beyond share one allowance.
    """

    per_s: float = doc.setting(doc.number(0, 1_000_000), 2000.0)
    burst: float = doc.setting(doc.number(1, 10_000_000), 4000.0)
    max_sources: int = doc.setting(doc.whole(1, 1_000_000), 1024)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Sources:
    """The allowances of the agents that escalate to us."""

    __slots__ = ("_buckets", "_others", "_rules")

    def __init__(self, rules: SourceRules) -> None:
        self._rules = rules
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        """By source, the least recently seen first."""
        self._others = _Bucket(rules.burst, 0.0)

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._rules.per_s > 0

    def allow(self, source: str, questions: int, now: float) -> bool:
        """Takes so many questions out of a source's allowance; False, and none taken, when there are not as many.

        More than `burst` at once are allowed when the allowance is full, and leave a debt.
        """
        if not self.limited:
            return True
        bucket = self._bucket(source, now)
        self._fill(bucket, now)
        if bucket.tokens < min(float(questions), self._rules.burst):
            return False
        bucket.tokens -= questions
        return True

    def _bucket(self, source: str, now: float) -> _Bucket:
        """A source's own; for one more than can be told apart, that of all others."""
        bucket = self._buckets.get(source)
        if bucket is None:
            if len(self._buckets) >= self._rules.max_sources and not self._forget_one(now):
                return self._others
            bucket = self._buckets[source] = _Bucket(self._rules.burst, now)
        self._buckets.move_to_end(source)
        return bucket

    def _forget_one(self, now: float) -> bool:
        """Forgets the least recently seen, if its allowance is full again: it loses nothing by it."""
        name, oldest = next(iter(self._buckets.items()))
        self._fill(oldest, now)
        if oldest.tokens < self._rules.burst:
            return False
        del self._buckets[name]
        return True

    def _fill(self, bucket: _Bucket, now: float) -> None:
        earned = max(0.0, now - bucket.at) * self._rules.per_s
        bucket.tokens = min(self._rules.burst, bucket.tokens + earned)
        bucket.at = max(bucket.at, now)
