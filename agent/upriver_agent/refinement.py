"""What an agent has made of an assigned pair by what it learnt: its version with another head and policy. Pure.

A model's slot holds what was assigned (see `slot`), its base. On top of it there may be one refined pair, of the same
version, that answers in its place. It never outlives its base: whatever else is put into the slot, also the same pair
anew, answers by itself. So intent always wins, and going back is one step without loading anything.

`step(standing, event)` gives how things stand after an event, and what the shell is to carry out.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never


@dataclass(frozen=True, slots=True)
class Base:
    """A pair by its digests: that of the version's listing, and that of the policy's document (`Policy.digest`)."""

    version: str
    policy: str


@dataclass(frozen=True, slots=True)
class Refined:
    """A pair that was made here: the version of `base` under the policy `document`, which names its head.

    The document has its certificate. `lessons` is how many went into the head, `attempt` the number of the test that
    it passed, `since` a Unix time.
    """

    base: Base
    document: str
    lessons: int
    attempt: int
    since: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Why there is no refined pair any more, and since when (a Unix time)."""

    why: str
    at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How one model stands: what is assigned, what was made of it, and why the last that was made is gone."""

    base: Base | None = None
    refined: Refined | None = None
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Based:
    """A pair was put into the slot, or (None) what was there was taken out."""

    base: Base | None
    at: float


@dataclass(frozen=True, slots=True)
class Promoted:
    """A refined pair is to answer."""

    refined: Refined


@dataclass(frozen=True, slots=True)
class Reverted:
    """The base is to answer again."""

    why: str
    at: float


Event = Based | Promoted | Reverted


class Do(StrEnum):
    """What the shell carries out, after it has kept how things stand."""

    NOTHING = "nothing"
    REFINE = "refine"
    """The refined pair answers."""
    RESTORE = "restore"
    """The base answers."""
    REFUSE = "refuse"
    """It is of another base than what is there."""


REPLACED = "another pair was put into its place"
UNLOADED = "its model was taken out of service"


def step(standing: Standing, event: Event) -> tuple[Standing, Do]:
    """How a model stands after an event, and what to do."""
    match event:
        case Based():
            # Whoever put it there has done so already: the base answers.
            ended = standing.ended
            if standing.refined is not None:
                ended = Ended(UNLOADED if event.base is None else REPLACED, event.at)
            return Standing(event.base, None, ended), Do.NOTHING
        case Promoted():
            if event.refined.base != standing.base:
                return standing, Do.REFUSE
            return replace(standing, refined=event.refined, ended=None), Do.REFINE
        case Reverted():
            if standing.refined is None:
                return standing, Do.NOTHING
            return replace(standing, refined=None, ended=Ended(event.why, event.at)), Do.RESTORE
        case _:
            assert_never(event)


def recovered(kept: Standing, base: Base | None) -> tuple[Standing, Do]:
    """How a model stands at a start, from what was kept and what was loaded into its slot."""
    if kept.refined is not None and kept.refined.base == base:
        return replace(kept, base=base), Do.REFINE
    at = 0.0 if kept.refined is None else kept.refined.since
    return step(replace(kept, base=base), Based(base, at))
