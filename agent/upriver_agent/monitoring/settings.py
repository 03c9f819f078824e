"""The settings of audits, `[audits]` in the configuration, and what they mean to a monitor."""

from dataclasses import dataclass

from upriver_agent import document as doc
from upriver_agent.monitoring.evidence import BETWEEN_FALSE_ALARMS, FALSE_ALARM, Limits
from upriver_agent.monitoring.monitor import Rates


@dataclass(frozen=True, slots=True)
class AuditsSection:
    """Which share of questions is audited, how many may be asked a second, and how many wait while nobody can be asked.

    `rate` is the usual share, `max_rate` that after a warning and during an alarm, which a warning raises for
    `warning_s` and then half of it each time. `journal_mib` and `max_age_h` bound what waits. `false_alarm` is the
    probability that the alarm ever rings by itself, `between_alarms` how many audits lie between two such alarms.
    `target` is the share of local answers that may differ from the top's where no certificate says so; 0 is no watch.
    """

    enabled: bool = doc.setting(doc.flag(), True)
    rate: float = doc.setting(doc.number(0, 1), 0.02)
    max_rate: float = doc.setting(doc.number(0, 1), 0.1)
    warning_s: float = doc.setting(doc.number(1, 86_400), 600.0)
    per_s: float = doc.setting(doc.number(0.001, 10_000), 20.0)
    journal_mib: int = doc.setting(doc.whole(1, 1 << 20), 64)
    max_age_h: float = doc.setting(doc.number(0.01, 8760), 72.0)
    false_alarm: float = doc.setting(doc.number(1e-9, 0.5), FALSE_ALARM)
    between_alarms: float = doc.setting(doc.number(100, 1e12), BETWEEN_FALSE_ALARMS)
    target: float = doc.setting(doc.number(0, 0.5), 0.0)

    @property
    def rates(self) -> Rates:
        """The shares of questions."""
        return Rates(self.rate, max(self.rate, self.max_rate), self.warning_s)

    @property
    def limits(self) -> Limits:
        """When the alarm rings."""
        return Limits(self.false_alarm, self.between_alarms)
