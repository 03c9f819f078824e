"""What is remarkable about a question at one agent, in the bits of one number. Pure."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from upriver.errors import InvalidInput
from upriver.parameters import Reason
from upriver.tracing import Attribute, EventName
from upriver_control.spans.facts import SpanFacts, count, text, truth


class Flag(IntEnum):
    """One of them. The number of `QuestionFlag` in the protocol is that of the bit, counted from 1.

    No IntFlag: flags are made for every question that comes in, and plain numbers are ten times faster.
    """

    ESCALATED = 1
    DEGRADED = 2
    UNRESOLVED = 4
    FAILED = 8
    TICKETED = 16
    ALARMED = 32
    HEDGED = 64
    SKEWED = 128


IMPORTANT: Final = Flag.ESCALATED | Flag.DEGRADED | Flag.UNRESOLVED | Flag.FAILED
"""Questions with one of these are always kept by agents, and are the last to go."""
_BY_NAME = {flag.name.lower(): flag for flag in Flag}


def flags_of(serve: SpanFacts, skewed: bool = False) -> int:
    """The flags of a question, from its `upriver.serve` span; `skewed` when the clock that its times are of is off."""
    told = serve.attributes
    names = {event.name for event in serve.events}
    flags = int(Flag.SKEWED) if skewed else 0
    if truth(told, Attribute.ESCALATED):
        flags |= Flag.ESCALATED
    if truth(told, Attribute.DEGRADED):
        flags |= Flag.DEGRADED
    if truth(told, Attribute.RESOLVED) is False:
        flags |= Flag.UNRESOLVED
    if serve.failed or Attribute.ERROR_REASON in told:
        flags |= Flag.FAILED
    if count(told, Attribute.TICKETS):
        flags |= Flag.TICKETED
    if EventName.ALARM in names or text(told, Attribute.REASON) == Reason.ALARM:
        flags |= Flag.ALARMED
    if EventName.HEDGE in names:
        flags |= Flag.HEDGED
    return flags


def names_of(flags: int) -> tuple[str, ...]:
    """The flags' names, in the order of their bits: `("escalated", "hedged")`."""
    return tuple(name for name, flag in _BY_NAME.items() if flags & flag)


def flags_named(names: Iterable[str]) -> int:
    """The flags of these names; raises InvalidInput for one that there is not."""
    flags = 0
    for name in names:
        if name not in _BY_NAME:
            raise InvalidInput(f"no flag {name[:40]!r}; expected one of {', '.join(_BY_NAME)}")
        flags |= _BY_NAME[name]
    return flags


def to_numbers(flags: int) -> tuple[int, ...]:
    """The numbers of `QuestionFlag` for flags."""
    return tuple(flag.bit_length() for flag in Flag if flags & flag)


def from_numbers(numbers: Iterable[int]) -> int:
    """Flags for numbers of `QuestionFlag`; raises InvalidInput for one that there is not."""
    flags = 0
    for number in numbers:
        if not 1 <= number <= len(Flag):
            raise InvalidInput(f"no flag {number}; expected 1 to {len(Flag)}")
        flags |= 1 << (number - 1)
    return flags
