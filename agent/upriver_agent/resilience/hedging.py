"""Hedging: a question that one upstream keeps waiting is asked of a second one too, and the first answer wins.

The second is asked when the first took longer than it usually does (its 95th percentile, so that about one in twenty
is asked twice while all is well), as in Dean and Barroso, "The Tail at Scale", CACM 2013. It is also what keeps an
upstream that hangs from eating the caller's time.
"""

from dataclasses import dataclass

from upriver_agent import document as doc

QUANTILE = 0.95
MIN_WEIGHT = 10.0
"""Calls that must be remembered before a quantile is believed."""


@dataclass(frozen=True, slots=True)
class HedgingRules:
    """When a second upstream is asked beside one that has not answered yet.

    `enabled` off asks the next only when one has failed. `min_delay_ms` and `max_delay_ms` bound the wait, which is
    the upstream's 95th percentile, and `unknown_delay_ms` is it while that is not known: shorter waits make for
    quicker answers and more traffic above. `patience_share` is the share of the time left after which an upstream is
    given up while there is another to ask and no room beside it: less leaves the other more, more lets a slow one
    finish. `half_life_s` is how long it takes until what an upstream took counts half.
    """

    enabled: bool = doc.setting(doc.flag(), True)
    min_delay_ms: float = doc.setting(doc.number(0, 60_000), 20.0)
    max_delay_ms: float = doc.setting(doc.number(0, 600_000), 1000.0)
    unknown_delay_ms: float = doc.setting(doc.number(0, 600_000), 100.0)
    patience_share: float = doc.setting(doc.number(0.05, 1), 0.5)
    half_life_s: float = doc.setting(doc.number(0.1, 86_400), 30.0)


def hedge_delay_s(rules: HedgingRules, usual_s: float | None) -> float:
    """Seconds to wait for an upstream before a second one is asked; `usual_s` is its 95th percentile, if known."""
    if usual_s is None:
        return rules.unknown_delay_ms / 1000
    return min(max(usual_s, rules.min_delay_ms / 1000), max(rules.min_delay_ms, rules.max_delay_ms) / 1000)


def may_hedge(timeout_s: float, usual_s: float | None) -> bool:
    """Whether a second upstream that takes `usual_s` (its median, if known) can answer within `timeout_s`."""
    return timeout_s > (usual_s or 0.0)


def patience_s(rules: HedgingRules, timeout_s: float, usual_s: float | None) -> float:
    """Seconds after which an upstream that has `timeout_s` is given up for another.

    One that usually takes long (`usual_s`, its 95th percentile, if known) gets twice that: who gives the slow up early
    never learns that they would have answered.
    """
    return min(timeout_s, max(rules.patience_share * timeout_s, 2 * (usual_s or 0.0)))
