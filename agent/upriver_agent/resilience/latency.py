"""How long an upstream takes: a histogram with fading memory, whose quantiles are known to within a tenth."""

import math

_FIRST_S = 0.0001
_STEP = 2**0.25  # 84 buckets from 0.1 ms to 200 s; the middle of one is at most 9 % off
_BUCKETS = 84
_LOG_STEP = math.log(_STEP)
_RECOUNT = 16  # calls after which a quantile that was asked for is computed anew


class Latency:
    """The times of one upstream. A time counts half after `half_life_s`, a quarter after twice that, and so on."""

    __slots__ = ("_at", "_counts", "_half_life_s", "_known", "_stale", "_total")

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._counts = [0.0] * _BUCKETS
        self._total = 0.0
        self._at: float | None = None
        self._known: dict[float, float] = {}
        self._stale = 0

    def observe(self, now: float, seconds: float) -> None:
        """Takes one time in. For one that was cut short, the time until then: a lower bound is better than none."""
        self._fade(now)
        place = int(math.log(max(seconds, _FIRST_S) / _FIRST_S) / _LOG_STEP)
        self._counts[min(place, _BUCKETS - 1)] += 1.0
        self._total += 1.0
        self._stale += 1
        if self._stale >= _RECOUNT or self._total < _RECOUNT:
            self._known.clear()
            self._stale = 0

    def weight(self, now: float) -> float:
        """How many calls are remembered, faded ones as what is left of them."""
        self._fade(now)
        return self._total

    def quantile(self, share: float) -> float | None:
        """The time that so large a share of calls took at most, in seconds; None when none is remembered."""
        if self._total < 0.5:
            return None
        found = self._known.get(share)
        if found is None:
            found = self._known[share] = self._look(share)
        return found

    def _look(self, share: float) -> float:
        wanted, seen = share * self._total, 0.0
        for place, count in enumerate(self._counts):
            seen += count
            if seen >= wanted and count > 0.0:
                return float(_FIRST_S * _STEP ** (place + 0.5))
        return float(_FIRST_S * _STEP**_BUCKETS)

    def _fade(self, now: float) -> None:
        # In steps of a tenth of the half-life, so that not every call touches every bucket.
        if self._at is None:
            self._at = now
            return
        steps = math.floor((now - self._at) / (self._half_life_s / 10))
        if steps <= 0:
            return
        self._at += steps * (self._half_life_s / 10)
        left = 0.5 ** (steps / 10)
        self._counts = [count * left for count in self._counts]
        self._total = sum(self._counts)
        self._known.clear()
