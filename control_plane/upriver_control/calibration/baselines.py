"""What to hold a calibration against: ask the top for everything, nothing, or know beforehand who is right."""

from collections.abc import Callable

import numpy as np

from upriver_control.calibration.cost_path import Course, Ladder, Rule, lost, run
from upriver_control.calibration.outcome import Operating


def operating(name: str, ladder: Ladder, rule: Rule) -> Operating:
    """What a rule does on the ladder's questions."""
    return _told(name, ladder, run(ladder, rule))


def baselines(ladder: Ladder) -> tuple[Operating, ...]:
    """All to the top, all at the bottom, and an oracle: the first tier on the way that agrees with the top answers."""
    return tuple(_told(name, ladder, make(ladder)) for name, make in _BASELINES.items())


def _all_top(ladder: Ladder) -> Course:
    exits = np.full(ladder.rows, ladder.below, dtype=np.intp)
    return Course(exits, np.full(ladder.rows, ladder.costs[0, ladder.below]))


def _all_local(ladder: Ladder) -> Course:
    return Course(np.zeros(ladder.rows, dtype=np.intp), np.zeros(ladder.rows))


def _oracle(ladder: Ladder) -> Course:
    """Going straight to whoever agrees, as somebody who knows can."""
    exits = np.full(ladder.rows, ladder.below, dtype=np.intp)
    for tier in reversed(range(ladder.below)):
        exits[~ladder.wrong[tier]] = tier
    return Course(exits, ladder.costs[0][exits])


_BASELINES: dict[str, Callable[[Ladder], Course]] = {"all-top": _all_top, "all-local": _all_local, "oracle": _oracle}


def _told(name: str, ladder: Ladder, course: Course) -> Operating:
    rows = max(ladder.rows, 1)
    risk = float(lost(ladder, course.exits).sum()) / rows
    return Operating(name, risk, float(course.cost.sum()) / rows, tuple(course.shares(ladder.below + 1).tolist()))
