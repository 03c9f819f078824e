"""One pair on one agent, watched: evidence from audits, signs of drift, the alarm, and how many questions to audit.

The alarm rings once and stays: what is known of a pair does not get better by waiting, only another pair clears it.
Warnings raise the rate of audits, which then falls back; they never touch the threshold.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from upriver_agent.monitoring.drift import Adwin, ScoreDrift
from upriver_agent.monitoring.evidence import Evidence, Limits
from upriver_agent.monitoring.nulls import Nulls

SCORES: Final = "the confidences are spread otherwise than after the activation"
ESCALATIONS: Final = "the share of questions that go up has changed"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Rates:
    """Which share of questions is audited: `usual`, and at most `highest` after a warning and during an alarm.

    What a warning has raised halves every `half_life_s`.
    """

    usual: float = 0.02
    highest: float = 0.1
    half_life_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Report:
    """How things stand. `alarm_since` and `warned_at` are Unix times, 0.0 for never."""

    note: str
    watched: bool
    audits: int
    disagreements: int
    log_e_value: float
    log_shiryaev_roberts: float
    alarm_since: float
    rate: float
    warned_at: float
    warnings: tuple[str, ...]


class Monitor:
    """Watches one pair. Changed by one thread at a time; `report` may be asked for meanwhile."""

    def __init__(self, nulls: Nulls, limits: Limits, rates: Rates) -> None:
        """One that knows nothing yet; `restore` and `restore_drift` have it go on where an earlier one was."""
        self._nulls = nulls
        self._limits = limits
        self._rates = rates
        self._evidence = Evidence()
        self._scores = ScoreDrift()
        self._escalations = Adwin()
        self._alarm_since = 0.0
        self._warned: dict[str, float] = {}

    def audited(self, disagrees: bool, brought: bool, now: float) -> bool:
        """Takes an audit of a question whose score passed the threshold; True when this is what makes the alarm ring.

        `brought` says that a client brought it here, or that those below send up all that clients bring; else it is one
        that an agent below could not answer. `now` is the Unix time.
        """
        null = self._nulls.brought if brought else self._nulls.relayed
        if null <= 0.0:
            return False
        self._evidence = self._evidence.observe(disagrees, null)
        if self._alarm_since or not self._evidence.rings(self._limits):
            return False
        self._alarm_since = now
        return True

    def looked(self, confidence: float, passes: bool, now: float) -> tuple[str, ...]:
        """Takes how sure the pair was of some question; gives the warnings that this brings."""
        drifted = self._scores.drifted
        self._scores = self._scores.look(confidence)
        warnings = []
        if self._scores.drifted and not drifted:
            warnings.append(SCORES)
        if self._escalations.look(not passes):
            warnings.append(ESCALATIONS)
        if warnings:
            self._warned = {**self._warned, **dict.fromkeys(warnings, now)}
        return tuple(warnings)

    def rate(self, now: float) -> float:
        """The share of questions to audit now."""
        rates = self._rates
        if self._alarm_since:
            return max(rates.usual, rates.highest)
        if not self._warned:
            return rates.usual
        age_s = max(0.0, now - max(self._warned.values()))
        return rates.usual + max(0.0, rates.highest - rates.usual) * math.exp2(-age_s / rates.half_life_s)

    @property
    def alarmed(self) -> bool:
        """Whether the alarm has rung."""
        return self._alarm_since > 0.0

    def report(self, now: float) -> Report:
        """How things stand."""
        rates, evidence = self._rates, self._evidence
        recent = {text: at for text, at in self._warned.items() if now - at < 5 * rates.half_life_s}
        return Report(
            note=self._nulls.note,
            watched=self._nulls.watched,
            audits=evidence.audits,
            disagreements=evidence.disagreements,
            log_e_value=evidence.log_e_value,
            log_shiryaev_roberts=evidence.log_shiryaev_roberts,
            alarm_since=self._alarm_since,
            rate=self.rate(now),
            warned_at=max(self._warned.values(), default=0.0),
            warnings=tuple(sorted(recent)),
        )

    def kept(self) -> dict[str, Any]:
        """The evidence and the alarm, which must outlive the process, as JSON has it."""
        evidence = self._evidence
        return {
            "format": _FORMAT,
            "audits": evidence.audits,
            "disagreements": evidence.disagreements,
            "log_e": list(evidence.log_e),
            "log_m": [value if math.isfinite(value) else None for value in evidence.log_m],
            "alarm_since": self._alarm_since,
            "warned": dict(self._warned),
        }

    def drift(self) -> dict[str, Any]:
        """What signs of drift are looked for in; larger, and kept less often."""
        return {
            "format": _FORMAT,
            "reference": [_told(value) for value in self._scores.reference],
            "window": [_told(value) for value in self._scores.window],
            "drifted": self._scores.drifted,
            "escalations": [list(row) for row in self._escalations.rows],
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Goes back to what `kept` gave; raises ValueError for anything else."""
        try:
            _check_format(kept)
            evidence = Evidence(
                int(kept["audits"]),
                int(kept["disagreements"]),
                tuple(float(value) for value in kept["log_e"]),
                tuple(-math.inf if value is None else float(value) for value in kept["log_m"]),
            )
            if not len(evidence.log_e) == len(evidence.log_m) == len(Evidence().log_e):
                raise ValueError(f"{len(evidence.log_e)} alternatives; expected {len(Evidence().log_e)}")
            alarm_since = float(kept["alarm_since"])
            warned = {str(text): float(at) for text, at in kept["warned"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not what a monitor keeps: {type(error).__name__}: {error}") from error
        self._evidence, self._alarm_since, self._warned = evidence, alarm_since, warned

    def restore_drift(self, drift: Mapping[str, Any]) -> None:
        """Goes back to what `drift` gave; raises ValueError for anything else."""
        try:
            _check_format(drift)
            scores = ScoreDrift(
                tuple(_read(value) for value in drift["reference"]),
                tuple(_read(value) for value in drift["window"]),
                bool(drift["drifted"]),
            )
            escalations = Adwin([[int(number) for number in row] for row in drift["escalations"]])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not what a monitor keeps: {type(error).__name__}: {error}") from error
        self._scores, self._escalations = scores, escalations


def _check_format(kept: Mapping[str, Any]) -> None:
    if kept["format"] != _FORMAT:
        raise ValueError(f"format {kept['format']!r}; expected {_FORMAT}")


def _told(confidence: float) -> float | None:
    """JSON has no infinity; -inf, "never confident", is null."""
    return confidence if math.isfinite(confidence) else None


def _read(value: float | None) -> float:
    return -math.inf if value is None else float(value)
