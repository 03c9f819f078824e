"""A model's slot as a state machine: what is active, what is on its way, and what is to be done next. Pure.

`step(slot, event)` gives the slot after an event and the actions that the shell is to carry out; each action ends in an
event of its own. A candidate goes staging → staged → verified → warmed → active; the pair that it replaces is retired
but kept, so that going back to it is one step without fetching or trying anything. Events about a pair that is no
longer the candidate change nothing: newer intent supersedes, whatever the old one is still waiting for.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never


class State(StrEnum):
    """How far a slot's candidate is; ACTIVE or EMPTY when it has none."""

    EMPTY = "empty"
    STAGING = "staging"
    STAGED = "staged"
    VERIFIED = "verified"
    WARMED = "warmed"
    ACTIVE = "active"
    FAILED = "failed"


class Failure(StrEnum):
    """Why a candidate was refused."""

    NONE = ""
    UNFIT = "unfit"
    UNAVAILABLE = "unavailable"
    UNTRUSTED = "untrusted"
    SELF_TEST = "self-test"
    GOLDEN = "golden"
    SHADOW = "shadow"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Pair:
    """A version and its policy, always activated together.

    `version` is its name, `digest` that of its listing, `policy` the policy's signed document or empty for the one in
    the version's manifest.
    """

    version: str
    digest: str
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Activation:
    """How a warmed candidate becomes active: after shadowing the active pair for `shadow_s` or on `shadow_rows` rows.

    With `shadow_rows` compared, an agreement below `min_agreement` (0 to 1) fails it.
    """

    shadow_s: float = 0.0
    shadow_rows: int = 0
    min_agreement: float = 0.0


@dataclass(frozen=True, slots=True)
class Slot:
    """One model's slot. `generation` is that of the newest assignment, `rollout` what made it."""

    model: str
    active: Pair | None = None
    previous: Pair | None = None
    candidate: Pair | None = None
    state: State = State.EMPTY
    failure: Failure = Failure.NONE
    reason: str = ""
    generation: int = 0
    rollout: str = ""
    activation: Activation = Activation()

    def keeps(self) -> tuple[Pair, ...]:
        """The pairs that must stay on disk."""
        return tuple(pair for pair in (self.active, self.previous, self.candidate) if pair is not None)


@dataclass(frozen=True, slots=True)
class Assigned:
    """The control plane wants `pair` here; None wants nothing."""

    pair: Pair | None
    generation: int
    rollout: str = ""
    activation: Activation = Activation()


@dataclass(frozen=True, slots=True)
class Advanced:
    """The candidate has come one step further: STAGED, VERIFIED, WARMED or ACTIVE."""

    pair: Pair
    to: State


@dataclass(frozen=True, slots=True)
class Shadowed:
    """Shadowing has ended: by time, or with `rows` compared of which `agreed` gave the same answer."""

    pair: Pair
    rows: int
    agreed: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A step of the candidate failed."""

    pair: Pair
    failure: Failure
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """It is time to try again what failed for a reason that may pass."""

    pair: Pair


Event = Assigned | Advanced | Shadowed | Failed | Retry


class Do(StrEnum):
    """What the shell carries out for a pair."""

    STAGE = "stage"
    VERIFY = "verify"
    WARM = "warm"
    SHADOW = "shadow"
    ACTIVATE = "activate"
    RESTORE = "restore"
    """Activate the previous pair, which is still loaded."""
    UNLOAD = "unload"
    DISCARD = "discard"
    """Stop all work for a candidate and forget what was made for it."""
    RETRY_LATER = "retry later"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do."""

    do: Do
    pair: Pair


_NEXT = {State.STAGED: Do.VERIFY, State.VERIFIED: Do.WARM}
_ORDER = {State.STAGING: State.STAGED, State.STAGED: State.VERIFIED, State.VERIFIED: State.WARMED}
_MAY_PASS = (Failure.UNAVAILABLE, Failure.DISK, Failure.UNTRUSTED)
"""What can be mended without a new assignment: a network, a full disk, metadata that was refreshed."""

Step = tuple[Slot, tuple[Action, ...]]


def step(slot: Slot, event: Event) -> Step:
    """Gives the slot after an event, and what to do, in order."""
    match event:
        case Assigned():
            return _assigned(slot, event)
        case Advanced():
            return _advanced(slot, event)
        case Shadowed():
            return _shadowed(slot, event)
        case Failed():
            return _failed(slot, event)
        case Retry():
            return _retried(slot, event)
        case _:
            assert_never(event)


def _assigned(slot: Slot, event: Assigned) -> Step:
    if event.generation < slot.generation:
        return slot, ()
    again = event.generation > slot.generation
    slot = replace(slot, generation=event.generation, rollout=event.rollout, activation=event.activation)
    if event.pair is None:
        actions = _discard(slot)
        if slot.active is not None:
            actions = (*actions, Action(Do.UNLOAD, slot.active))
        return replace(_at_rest(slot), active=None, previous=None, state=State.EMPTY), actions
    if event.pair == slot.active:
        return _at_rest(slot), _discard(slot)
    if event.pair == slot.candidate and not (again and slot.state is State.FAILED):
        return slot, ()
    discarded = _discard(slot)
    if event.pair == slot.previous:
        # It was verified and active here before, and is still loaded: back in one step.
        slot = replace(_at_rest(slot), candidate=event.pair, state=State.WARMED)
        return slot, (*discarded, Action(Do.RESTORE, event.pair))
    slot = replace(_at_rest(slot), candidate=event.pair, state=State.STAGING)
    return slot, (*discarded, Action(Do.STAGE, event.pair))


def _advanced(slot: Slot, event: Advanced) -> Step:
    if event.pair != slot.candidate:
        return slot, ()
    if event.to is State.ACTIVE and slot.state is State.WARMED:
        return replace(_at_rest(slot), active=event.pair, previous=slot.active, state=State.ACTIVE), ()
    if _ORDER.get(slot.state) is not event.to:
        return slot, ()
    slot = replace(slot, state=event.to)
    if event.to is State.WARMED:
        shadows = slot.active is not None and slot.activation.shadow_s > 0
        return slot, (Action(Do.SHADOW if shadows else Do.ACTIVATE, event.pair),)
    return slot, (Action(_NEXT[event.to], event.pair),)


def _shadowed(slot: Slot, event: Shadowed) -> Step:
    if event.pair != slot.candidate or slot.state is not State.WARMED:
        return slot, ()
    rules = slot.activation
    judged = event.rows > 0 and event.rows >= rules.shadow_rows
    if judged and event.agreed < rules.min_agreement * event.rows:
        share = event.agreed / event.rows
        reason = (
            f"agreed with the active pair on {event.agreed} of {event.rows} live rows ({share:.3f}); "
            f"expected at least {rules.min_agreement:g}"
        )
        return _failed(slot, Failed(event.pair, Failure.SHADOW, reason))
    return slot, (Action(Do.ACTIVATE, event.pair),)


def _failed(slot: Slot, event: Failed) -> Step:
    if event.pair != slot.candidate:
        return slot, ()
    slot = replace(slot, state=State.FAILED, failure=event.failure, reason=event.reason)
    actions: tuple[Action, ...] = (Action(Do.DISCARD, event.pair),)
    if event.failure in _MAY_PASS:
        actions = (*actions, Action(Do.RETRY_LATER, event.pair))
    return slot, actions


def _retried(slot: Slot, event: Retry) -> Step:
    if event.pair != slot.candidate or slot.state is not State.FAILED:
        return slot, ()
    # The failure stays told until the new try gets further: an operator must not see it come and go.
    return replace(slot, state=State.STAGING), (Action(Do.STAGE, event.pair),)


def _discard(slot: Slot) -> tuple[Action, ...]:
    return () if slot.candidate is None else (Action(Do.DISCARD, slot.candidate),)


def _at_rest(slot: Slot) -> Slot:
    return replace(
        slot,
        candidate=None,
        state=State.EMPTY if slot.active is None else State.ACTIVE,
        failure=Failure.NONE,
        reason="",
    )


def recovered(slot: Slot, active_works: bool, previous_works: bool, harmful: str = "") -> Step:
    """The slot at a start, from what was kept, given which of its pairs could be loaded.

    A candidate that was under way is staged anew (its files are still there). An active pair that no longer loads gives
    way to the previous one and is staged anew too, so that what broke on disk is fetched again; unless it is `harmful`,
    with the reason why: then it has failed until a newer assignment wants it.
    """
    lost = None if active_works else slot.active
    active = slot.active if active_works else None
    previous = slot.previous if previous_works else None
    if active is None:
        active, previous = previous, None
    failed_before = slot.state is State.FAILED
    slot = replace(slot, active=active, previous=previous)
    wanted = slot.candidate or lost
    if wanted is None:
        return _at_rest(slot), ()
    if lost == wanted and harmful:
        return replace(slot, candidate=wanted, state=State.FAILED, failure=Failure.SELF_TEST, reason=harmful), ()
    if failed_before and slot.failure not in _MAY_PASS:
        return slot, ()
    return replace(slot, candidate=wanted, state=State.STAGING), (Action(Do.STAGE, wanted),)
