"""The retry budget: how many questions may be asked a second time, so that trouble above is not multiplied from below.

A token bucket that every first try fills by a share of a token and time by a few a second, as in Finagle's RetryBudget
(https://twitter.github.io/finagle/guide/Clients.html#retries). Without it, three tiers that each try three times ask
the top 27 times for every question, just when it is least able to answer.
"""

from dataclasses import dataclass

from upriver_agent import document as doc


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """How many second tries there may be: retries after a failure and hedges alike.

    `share` of the first tries, and `per_s` a second besides, so that an agent that asks seldom may try again; at most
    `burst` at once. More mends more questions while an upstream is gone, and loads the others more.
    """

    share: float = doc.setting(doc.number(0, 1), 0.2)
    per_s: float = doc.setting(doc.number(0, 1_000_000), 10.0)
    burst: float = doc.setting(doc.number(1, 1_000_000), 20.0)


class Budget:
    """One agent's budget, full at first. Over any time: second tries <= burst + share * first tries + per_s * time."""

    __slots__ = ("_at", "_rules", "_tokens")

    def __init__(self, rules: BudgetRules, now: float) -> None:
        self._rules = rules
        self._tokens = rules.burst
        self._at = now

    def earn(self, now: float) -> None:
        """Counts a first try."""
        self._fill(now)
        self._tokens = min(self._rules.burst, self._tokens + self._rules.share)

    def take(self, now: float) -> bool:
        """Takes one second try out; False when there is none."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._at = max(self._at, now)
        self._tokens = min(self._rules.burst, self._tokens + passed * self._rules.per_s)
