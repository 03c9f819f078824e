"""Labelling tickets by keyboard: what each key does, decided without a browser. Pure.

Arrows choose the ticket. A digit chooses a label by its place, unless labels begin with digits: then it is typed, as
letters are. What was typed chooses the one label that begins with it. Enter sends the choice; u, Escape and Backspace
take it back before that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

MAX_TYPED: Final = 80
NUMBERED: Final = 9
"""Labels that have a digit."""
ENTER: Final = "Enter"


class Waiting(NamedTuple):
    """A ticket that waits: the agent that gave it out, its name there, and what it may be answered with."""

    agent: str
    name: str
    labels: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.agent, self.name


class Choice(NamedTuple):
    """An answer that is to be sent."""

    ticket: Waiting
    label: str


@dataclass(frozen=True, slots=True)
class Desk:
    """The tickets in front of one person, one of which is looked at, and the label chosen for that one.

    `typed` are letters that were typed for it. `sent` are tickets that were sent an answer and are not shown while
    that is under way. `said` is the last thing to be told, for screen readers too.
    """

    tickets: tuple[Waiting, ...] = ()
    at: int = 0
    label: str = ""
    typed: str = ""
    sent: frozenset[tuple[str, str]] = frozenset()
    said: str = ""

    @property
    def current(self) -> Waiting | None:
        """The ticket that is looked at; None where none waits."""
        return self.tickets[self.at] if self.at < len(self.tickets) else None


def arrived(desk: Desk, tickets: Iterable[Waiting]) -> Desk:
    """What waits now. The ticket that is looked at stays so, with the choice, while it waits; else the next one is."""
    told = tuple(tickets)
    here = {one.key for one in told}
    waiting = tuple(one for one in told if one.key not in desk.sent)
    desk, before = replace(desk, sent=desk.sent & here), desk.current
    place = next((at for at, one in enumerate(waiting) if before is not None and one.key == before.key), None)
    if before is None or place is not None:
        return replace(desk, tickets=waiting, at=place or 0)
    gone = f"{short(before)} does not wait any more."
    return replace(desk, tickets=waiting, at=_nearest(desk.at, waiting), label="", typed="", said=gone)


def press(desk: Desk, key: str) -> tuple[Desk, Choice | None]:
    """What a key does, named as browsers name it, and the answer that is to be sent for it."""
    current = desk.current
    if current is None:
        return desk, None
    match key:
        case "ArrowDown" | "ArrowRight":
            return look_at(desk, desk.at + 1), None
        case "ArrowUp" | "ArrowLeft":
            return look_at(desk, desk.at - 1), None
        case "Home":
            return look_at(desk, 0), None
        case "End":
            return look_at(desk, len(desk.tickets) - 1), None
        case "Enter":
            return _sent(desk, current)
        case "Escape":
            return taken_back(desk), None
        case "Backspace":
            return (_typed(desk, current, desk.typed[:-1]) if desk.typed else taken_back(desk)), None
        case _ if len(key) == 1 and key.isprintable():
            return _letter(desk, current, key), None
    return desk, None


def look_at(desk: Desk, place: int) -> Desk:
    """Looks at another ticket, without a choice; places beyond the ends are the ends."""
    place = max(0, min(place, len(desk.tickets) - 1))
    return desk if place == desk.at else replace(desk, at=place, label="", typed="", said="")


def chosen(desk: Desk, label: str) -> Desk:
    """A label was pointed at; one that the ticket does not have changes nothing."""
    current = desk.current
    if current is None or label not in current.labels:
        return desk
    return replace(desk, label=label, typed="", said=f"{label} is chosen; Enter sends it, u takes it back.")


def taken_back(desk: Desk) -> Desk:
    """The choice is taken back."""
    return replace(desk, label="", typed="", said="Taken back." if desk.label or desk.typed else "")


def kept(desk: Desk, choice: Choice) -> Desk:
    """An answer was taken."""
    return replace(desk, said=f"{short(choice.ticket)} is answered: {choice.label}.")


def failed(desk: Desk, choice: Choice, why: str) -> Desk:
    """An answer was not taken: its ticket is shown again with the next news, if it still waits."""
    said = f"{short(choice.ticket)} was not answered: {why}"
    return replace(desk, sent=desk.sent - {choice.ticket.key}, said=said)


def is_numbered(labels: Sequence[str]) -> bool:
    """Whether digits choose labels by their place: where none begins with a digit, which would be ambiguous."""
    return not any(label[:1].isdigit() for label in labels)


def matching(labels: Sequence[str], typed: str) -> list[str]:
    """The labels that begin with what was typed, whatever the case."""
    wanted = typed.casefold()
    return [label for label in labels if label.casefold().startswith(wanted)]


def short(ticket: Waiting) -> str:
    """A ticket as it is called."""
    return ticket.name.removeprefix("tickets/")


def _sent(desk: Desk, current: Waiting) -> tuple[Desk, Choice | None]:
    if not desk.label:
        how = "type it, or press its digit" if is_numbered(current.labels) else "type it"
        said = f"Choose a label first: {how}." if current.labels else "This model has no labels to choose from."
        return replace(desk, said=said), None
    waiting = tuple(one for one in desk.tickets if one.key != current.key)
    left = replace(
        desk,
        tickets=waiting,
        at=_nearest(desk.at, waiting),
        label="",
        typed="",
        sent=desk.sent | {current.key},
        said=f"{short(current)}: sending {desk.label}.",
    )
    return left, Choice(current, desk.label)


def _letter(desk: Desk, current: Waiting, letter: str) -> Desk:
    labels = current.labels
    if not desk.typed and letter in "123456789" and is_numbered(labels):
        place = int(letter) - 1
        return (
            chosen(desk, labels[place]) if place < len(labels) else replace(desk, said=f"There is no label {letter}.")
        )
    goes_on = bool(matching(labels, desk.typed + letter))
    if letter in "uU" and (not goes_on or (desk.label and not desk.typed)):
        return taken_back(desk)
    return _typed(desk, current, (desk.typed + letter)[:MAX_TYPED])


def _typed(desk: Desk, current: Waiting, typed: str) -> Desk:
    if not typed:
        return taken_back(desk)
    found = matching(current.labels, typed)
    if not found:
        return replace(desk, said=f"No label begins with {typed}.")
    whole = [label for label in found if label.casefold() == typed.casefold()]
    if len(found) == 1 or len(whole) == 1:
        return replace(chosen(desk, (whole or found)[0]), typed=typed)
    return replace(desk, label="", typed=typed, said=f"{len(found)} labels begin with {typed}.")


def _nearest(place: int, waiting: Sequence[Waiting]) -> int:
    return max(0, min(place, len(waiting) - 1))
