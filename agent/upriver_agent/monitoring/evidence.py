"""Evidence against "answers given here are wrong no more often than certified", one audit at a time.

Two statistics over the same likelihood ratios LR_p = (p/a)^X ((1-p)/(1-a))^(1-X), X = 1[disagrees], a the null,
for several alternatives p at once:

- The e-process mean_p Π LR_p. Under the null it reaches 1/δ with probability at most δ, over all time (Ville 1939). It
  is quick from the start, but what a long quiet time has taken away from it has to be earned back.
- Shiryaev-Roberts, M ← (M + 1)·LR_p, its mean over p. Under the null it takes A audits or more on average to reach A
  (Pollak 1987; as an e-detector: Shin, Ramdas, Rinaldo 2022). It is what sees a change that comes late.

Both stay valid when a differs from audit to audit, as long as each is known before its answer is. Everything is kept as
logarithms: after 10^6 quiet audits the e-process is about e^-45000.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MULTIPLES: Final = (1.5, 2.5, 5.0, 10.0, 30.0)
"""The alternatives, as multiples of the null."""
MOST: Final = 0.9
"""No alternative is above it, and a null that is not below it can't be tested."""
FALSE_ALARM: Final = 0.03
BETWEEN_FALSE_ALARMS: Final = 30_000.0


@dataclass(frozen=True, slots=True)
class Limits:
    """When it rings: the e-process at 1/`false_alarm`, or Shiryaev-Roberts at `between`.

    The defaults ring falsely less than once in 20,000 audits that are wrong exactly as often as certified, and see a
    jump from 0.5 to 5 % after about 52 audits, 97 after a long quiet time; docs/benchmarks.md has the table.
    """

    false_alarm: float = FALSE_ALARM
    between: float = BETWEEN_FALSE_ALARMS


@dataclass(frozen=True, slots=True)
class Evidence:
    """What has been gathered; logarithms, one for each of MULTIPLES."""

    audits: int = 0
    disagreements: int = 0
    log_e: tuple[float, ...] = (0.0,) * len(MULTIPLES)
    log_m: tuple[float, ...] = (-math.inf,) * len(MULTIPLES)

    def observe(self, disagrees: bool, null: float) -> "Evidence":
        """The evidence after one more audit; `null` is the probability of disagreement that is certified for it.

        Raises ValueError when the null can't be tested.
        """
        if not 0.0 < null < MOST:
            raise ValueError(f"a null of {null}: expected above 0 and below {MOST}")
        log_e, log_m = [], []
        for multiple, e, m in zip(MULTIPLES, self.log_e, self.log_m, strict=True):
            ratio = log_ratio(disagrees, null, multiple)
            log_e.append(e + ratio)
            log_m.append(_plus_one(m) + ratio)
        return Evidence(self.audits + 1, self.disagreements + disagrees, tuple(log_e), tuple(log_m))

    @property
    def log_e_value(self) -> float:
        """The logarithm of the e-process."""
        return log_mean(self.log_e)

    @property
    def log_shiryaev_roberts(self) -> float:
        """The logarithm of the Shiryaev-Roberts statistic."""
        return log_mean(self.log_m)

    def rings(self, limits: Limits) -> bool:
        """Whether the certificate is not to be believed any more."""
        return self.log_e_value >= -math.log(limits.false_alarm) or self.log_shiryaev_roberts >= math.log(
            limits.between
        )


def log_ratio(disagrees: bool, null: float, multiple: float) -> float:
    """log LR_p of one audit for the alternative p = min(multiple·null, MOST)."""
    p = min(multiple * null, MOST)
    return math.log(p / null) if disagrees else math.log1p(-p) - math.log1p(-null)


def log_mean(logs: Sequence[float]) -> float:
    """The logarithm of the mean of what the logarithms stand for."""
    largest = max(logs)
    if not math.isfinite(largest):
        return largest
    return largest + math.log(math.fsum(math.exp(value - largest) for value in logs) / len(logs))


def _plus_one(log: float) -> float:
    """log(exp(log) + 1)."""
    return max(log, 0.0) + math.log1p(math.exp(-abs(log)))
