"""How many agents may arrive at once: a token bucket, and how long those beyond it are to stay away. Pure.

When a control plane comes back, its whole fleet dials at once. What is over the rate is refused before it costs
anything, and sent away for as long as the queue in front of it would take, so that the fleet spreads by itself.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Arrivals:
    """Admits `rate_per_s` agents, and `burst` at once. Times are seconds of any steady clock."""

    rate_per_s: float
    burst: float
    _tokens: float = -1.0
    _at: float = 0.0
    _turned_away: float = 0.0

    def admit(self, now: float) -> float:
        """Gives 0 when an agent may come in, else the seconds after which it should try again."""
        if self._tokens < 0:
            self._tokens, self._at = self.burst, now
        passed, self._at = max(0.0, now - self._at), now
        self._tokens = min(self.burst, self._tokens + passed * self.rate_per_s)
        self._turned_away = max(0.0, self._turned_away - passed * self.rate_per_s)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        self._turned_away += 1.0
        return self._turned_away / self.rate_per_s
