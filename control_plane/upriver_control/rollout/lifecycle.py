"""What people, and newer rollouts, may do to a rollout. Pure.

Asking again for what is so already changes nothing; what a state forbids raises NotNow, which says what to do instead.
"""

from dataclasses import replace
from enum import StrEnum

from upriver.errors import NotNow
from upriver_control.rollout.model import ENDED, Rollout, RolloutState

_UNDER_WAY = (RolloutState.PROGRESSING, RolloutState.SOAKING)


class Action(StrEnum):
    """What people can ask of a rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    ROLL_BACK = "roll-back"


def actions(rollout: Rollout) -> tuple[Action, ...]:
    """What would change it now: neither what is so already, nor what its state forbids."""
    if rollout.is_withdrawn:
        return ()
    if rollout.state is RolloutState.PAUSED:
        return (Action.RESUME, Action.CANCEL, Action.ROLL_BACK)
    if rollout.state in _UNDER_WAY:
        return (Action.PAUSE, Action.CANCEL, Action.ROLL_BACK)
    return (Action.ROLL_BACK,)


def pause(rollout: Rollout, now: float) -> Rollout:
    """Moves no further agents until it is resumed; a breach still rolls back."""
    if rollout.state is RolloutState.PAUSED:
        return rollout
    if rollout.state not in _UNDER_WAY:
        raise NotNow(f"{_named(rollout)}: only one that is progressing or soaking can be paused")
    return replace(rollout, state=RolloutState.PAUSED, paused_from=rollout.state, reason="paused", updated=now)


def resume(rollout: Rollout, now: float) -> Rollout:
    """Goes on where it was paused; time that passed counts as soaking."""
    if rollout.state in _UNDER_WAY:
        return rollout
    if rollout.state is not RolloutState.PAUSED:
        raise NotNow(f"{_named(rollout)}: only one that is paused can be resumed; start a new one instead")
    state = rollout.paused_from or RolloutState.PROGRESSING
    return replace(rollout, state=state, paused_from=None, reason="resumed", updated=now)


def cancel(rollout: Rollout, now: float) -> Rollout:
    """Ends it where it is: agents that moved stay moved."""
    if rollout.state is RolloutState.CANCELLED:
        return rollout
    if rollout.state not in (*_UNDER_WAY, RolloutState.PAUSED):
        raise NotNow(f"{_named(rollout)}: there is nothing left to cancel; roll it back, or start a new one instead")
    return _ended(rollout, RolloutState.CANCELLED, "cancelled where it was", now)


def roll_back(rollout: Rollout, reason: str, now: float) -> Rollout:
    """Sends its agents back to what they ran before. One that has ended can be rolled back too."""
    if rollout.is_withdrawn:
        return rollout
    return replace(
        rollout,
        state=RolloutState.ROLLING_BACK,
        paused_from=None,
        soaking_since=None,
        returning_since=now,
        ended=None,
        reason=reason or "rolled back on request",
        updated=now,
    )


def supersede(rollout: Rollout, newer: Rollout, now: float) -> Rollout:
    """Freezes it where it is, because a newer rollout of the model took over."""
    if rollout.has_ended or rollout.is_withdrawn:
        return rollout
    return _ended(rollout, RolloutState.SUPERSEDED, f"rollouts/{newer.id} took over", now)


def complete(rollout: Rollout, now: float) -> Rollout:
    """Every ring has moved."""
    return _ended(rollout, RolloutState.COMPLETED, "every ring has moved", now)


def returned(rollout: Rollout, left: int, now: float) -> Rollout:
    """Ends the way back, with `left` connected agents that still run the pair."""
    more = f"; {left} connected agents still run it" if left else ""
    return _ended(rollout, RolloutState.ROLLED_BACK, rollout.reason + more, now)


def _ended(rollout: Rollout, state: RolloutState, reason: str, now: float) -> Rollout:
    return replace(rollout, state=state, reason=reason, ended=now, updated=now, paused_from=None, soaking_since=None)


def _named(rollout: Rollout) -> str:
    ended = "has ended as" if rollout.state in ENDED else "is"
    return f"rollouts/{rollout.id} {ended} {rollout.state}"
