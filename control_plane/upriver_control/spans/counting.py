"""What agents counted between two reports, and into which minutes it falls. Pure.

Agents report what each pair has done since it became active. What one report says more than the one before has happened
in between; where the pair became active in between, or the agent started anew, all that it says has. Of several control
planes each may bring a report of the same agent, late even: what is older than what was counted counts as nothing.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_COUNT: Final = 2**40
"""What no agent counts to: more is an error, or a lie, and would not fit where many are summed."""
MAX_POINTS: Final = 240
"""Minutes that one difference is told in; one over a longer time is told in every so many of them."""
_MINUTE_S: Final = 60


class Observed(NamedTuple):
    """What an agent said of one model's slot at Unix time `at`: rows and those that went up since its pair is active.

    `boot` is the run of its process, `version` the pair's digest, `active_for_s` how long it has been active. `lessons`
    are those that the agent keeps of the model.
    """

    agent: str
    model: str
    boot: str
    version: str
    region: str
    rows: int
    escalated_rows: int
    active_for_s: float
    at: float
    lessons: int = 0


class Difference(NamedTuple):
    """Rows, and those of them that went up, from Unix time `since` on until an observation."""

    rows: int
    escalated_rows: int
    since: float


def difference(before: Observed | None, now: Observed) -> Difference | None:
    """What happened until `now` that was not counted when `before` was; None for an observation that came too late."""
    whole = Difference(max(0, now.rows), _within(now), now.at - max(0.0, now.active_for_s))
    if before is None:
        return whole
    if (before.boot, before.version) == (now.boot, now.version) and now.active_for_s >= before.active_for_s:
        rows, escalated = now.rows - before.rows, now.escalated_rows - before.escalated_rows
        if rows >= 0 and escalated >= 0:
            return Difference(rows, escalated, min(before.at, now.at))
    if now.at <= before.at:
        return None
    return whole._replace(since=max(before.at, whole.since))


def split(happened: Difference, until: float) -> Iterator[tuple[int, int, int]]:
    """A difference as rows, and those that went up, of minutes since the epoch: evenly by time, none lost."""
    first, last = int(min(happened.since, until) // _MINUTE_S), int(until // _MINUTE_S)
    step = -(-(last - first + 1) // MAX_POINTS)
    rows = escalated = 0
    for minute in range(first, last + 1, step):
        end = (minute + step) * _MINUTE_S
        if end > until:
            rows_now, escalated_now = happened.rows, happened.escalated_rows
        else:
            rows_now = int(happened.rows * (end - happened.since) / (until - happened.since))
            # Of as many rows as are told no more can have gone up than there are.
            escalated_now = happened.escalated_rows * rows_now // max(1, happened.rows)
        if (rows_now, escalated_now) != (rows, escalated):
            yield minute, rows_now - rows, escalated_now - escalated
        rows, escalated = rows_now, escalated_now


def _within(now: Observed) -> int:
    return min(max(0, now.escalated_rows), max(0, now.rows))
