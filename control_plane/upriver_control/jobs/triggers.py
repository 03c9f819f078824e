"""When a model is trained without being asked: enough lessons, too many escalations, an alarm, or the time. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from upriver_control.jobs.training import Training, TrainResult
from upriver_control.observed import AgentFacts

LEAST_ROWS = 1_000
"""Escalations are counted of so many questions at least."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """What starts trainings, each 0 or False for not at all; whatever it is, at most once in `every_s` for a model."""

    new_lessons: int = 0
    escalation_rate: float = 0.0
    alarm: bool = False
    schedule: bool = False
    every_s: float = 86_400.0

    @property
    def any(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.new_lessons or self.escalation_rate or self.alarm or self.schedule)


def escalation_rate(model: str, agents: Iterable[AgentFacts]) -> float | None:
    """The share of questions that agents of the lowest tier that serves a model send up; None where few are known.

    Of what their pairs have answered since they became active.
    """
    found: dict[int, list[int]] = {}
    for facts in agents:
        slot = facts.slots.get(model)
        if slot is None or slot.active is None or facts.tier not in facts.tiers:
            continue
        counts = found.setdefault(facts.tiers.index(facts.tier), [0, 0])
        counts[0] += slot.counters.rows
        counts[1] += slot.counters.escalated_rows
    if not found:
        return None
    rows, escalated = found[min(found)]
    return escalated / rows if rows >= LEAST_ROWS else None


def unseen(lessons: int, later: int, taught: TrainResult | None) -> int:
    """How many of a model's lessons are new since the last training that was given all of them, as far as is known.

    `later` are those of days behind that training: some that it has seen may have gone by now.
    """
    return lessons if taught is None else max(later, lessons - taught.seen)


def due(
    triggers: Triggers, newest: Training | None, lessons: int, new: int, rate: float | None, alarmed: bool, now: float
) -> str:
    """Why a model is to be trained now, in words; empty when it is not.

    `lessons` are those that are here, `new` those of them that are new; `rate` is the share of questions that goes up,
    as far as it is known.
    """
    if not lessons or (newest is not None and now - newest.created < triggers.every_s):
        return ""
    if triggers.new_lessons and new >= triggers.new_lessons:
        return f"{new} new lessons"
    if triggers.escalation_rate and rate is not None and rate >= triggers.escalation_rate:
        return f"{rate:.1%} of questions go up"
    if triggers.alarm and alarmed:
        return "an alarm"
    return "its time" if triggers.schedule else ""
