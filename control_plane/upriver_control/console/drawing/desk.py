"""Tickets that wait for a person: the list of them, and the one that is looked at with what may be said to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import UpriverError
from upriver.tensors import Array
from upriver.tickets import Ticket, TicketWaiting, parse_ticket
from upriver.v1 import inbox_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Child, Markup, join, tag
from upriver_control.console.labelling import NUMBERED, Desk, Waiting, is_numbered, matching, short

MOST_LABELS: Final = 60
MOST_VALUES: Final = 16
_WAITS: Final[Mapping[TicketWaiting, str]] = {
    TicketWaiting.UPSTREAM: "an agent above that is there, or you",
    TicketWaiting.MODEL: "another model, or you",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a ticket: read once, drawn often. Texts are whatever its agent wrote."""

    model: str
    trace: str
    created: Timestamp
    expires: Timestamp | None
    guess: str
    waits: str
    attempts: int = 0
    picture: str = ""
    """Its address."""
    inputs: tuple[tuple[str, str], ...] = ()
    """Where it is no picture: each input's name and first values."""
    problem: str = ""
    """Why the input is not there."""


Tickets = Mapping[tuple[str, str], Shown]


def shown_of(one: inbox_pb2.OpenTicket, picture: str) -> Shown:
    """Reads a ticket; `picture` is the address of its picture, empty without one."""
    ticket, parsed = one.ticket, _parsed(one)
    inputs = {} if parsed is None or picture else parsed.inputs or {}
    return Shown(
        model=ticket.model,
        trace=ticket.trace,
        created=ticket.create_time,
        expires=ticket.expire_time if ticket.HasField("expire_time") else None,
        guess=_guess(parsed),
        waits="" if parsed is None else _WAITS.get(parsed.waiting, "an answer"),
        attempts=ticket.attempts,
        picture=picture,
        inputs=tuple((name, _values(array)) for name, array in sorted(inputs.items())),
        problem=one.input_problem,
    )


def id_of(ticket: Waiting) -> str:
    """The element's id of a ticket in the list."""
    return f"ticket-{sha256(f'{ticket.agent} {ticket.name}'.encode()).hexdigest()[:16]}"


def options(desk: Desk, tickets: Tickets, now: datetime) -> Markup:
    """The list, oldest first: options of a list box."""
    return join(*(_option(one, tickets[one.key], place == desk.at, now) for place, one in enumerate(desk.tickets)))


def detail(desk: Desk, tickets: Tickets, now: datetime) -> Markup:
    """The ticket that is looked at; empty where none is."""
    current = desk.current
    if current is None:
        return Markup()
    shown = tickets[current.key]
    return join(
        tag("div", {"class": "desk-what"}, _input(shown), _known(shown, current, now)),
        _labels(desk, current) if current.labels else _unlabelled(shown, current),
    )


def empty(unreachable: Mapping[str, str], after: str = "") -> Markup:
    """Where nothing waits, or nothing behind a place."""
    if after:
        return tag("p", {"class": "quiet"}, "Nothing waits there any more.")
    if unreachable:
        return tag("p", {"class": "quiet"}, "Nothing waits for a person at the agents that could be asked.")
    return words.nothing(
        "Nothing waits for a person.",
        "upriver tickets list --agent HOST:PORT",
        "A question that nobody is sure of gets a ticket at the agent that was asked, and is shown here.",
    )


@dataclass(frozen=True, slots=True)
class Shelf:
    """Which tickets of all that wait are at the desk: those of a model, empty for all, behind a place, empty for none.

    `addresses` are of the pages with the oldest and with what comes next.
    """

    model: str = ""
    after: str = ""
    addresses: Callable[[str], str] = str


def notes(told: inbox_pb2.ListOpenTicketsResponse, shown: int, shelf: Shelf) -> Markup:
    """What is not shown: more tickets than the `shown`, with the way to them, and agents that could not be asked."""
    more = _more(told, shown, shelf)
    if not told.unreachable:
        return join(more)
    rows = [tag("li", None, tag("strong", None, agent), f": {why}") for agent, why in sorted(told.unreachable.items())]
    one = len(rows) == 1
    said = "1 agent could not be asked" if one else f"{len(rows)} agents could not be asked"
    return join(
        more, tag("details", {"class": "quiet", "open": one}, tag("summary", None, said), tag("ul", None, *rows))
    )


def _more(told: inbox_pb2.ListOpenTicketsResponse, shown: int, shelf: Shelf) -> Markup | None:
    if not (told.next_page_token or shelf.after):
        return None
    stand = "These wait behind older ones" if shelf.after else f"These are the {shown:,} oldest"
    behind = "; more wait behind them, which come up as these are answered" if told.next_page_token else ""
    models = ", of all models" if shelf.model else ""
    count = f" Agents last told of {told.reported:,} that wait{models}." if told.reported > shown else ""
    links = {
        "The oldest": shelf.addresses("") if shelf.after else "",
        "The next ones": shelf.addresses(told.next_page_token) if told.next_page_token else "",
    }
    ways: list[Child] = [part for word, to in links.items() if to for part in (" ", tag("a", {"href": to}, word))]
    return tag("p", {"class": "quiet"}, f"{stand}{behind}.{count}", *ways)


def _option(one: Waiting, shown: Shown, is_current: bool, now: datetime) -> Markup:
    attributes = {
        "role": "option",
        "id": id_of(one),
        "class": "desk-option",
        "aria-selected": "true" if is_current else "false",
        "aria-current": "true" if is_current else None,
        "data-ticket": one.name,
        "data-agent": one.agent,
        "data-act": "look",
        "data-value": id_of(one),
    }
    picture = tag("img", {"src": shown.picture, "alt": "", "class": "desk-small"}) if shown.picture else None
    return tag(
        "div",
        attributes,
        picture or tag("span", {"class": "desk-small", "aria-hidden": "true"}),
        tag(
            "span",
            None,
            tag("strong", None, shown.model),
            f" at {one.agent}",
            tag("br"),
            tag("span", {"class": "quiet"}, f"{shown.guess} · {units.ago(shown.created, now)}"),
        ),
    )


def _guess(parsed: Ticket | None) -> str:
    if parsed is None or parsed.guess.label is None:
        return "no guess"
    confidence = parsed.guess.confidence
    sure = f", {units.share(confidence)} sure" if confidence is not None and 0 <= confidence <= 1 else ""
    return f"best guess {parsed.guess.label}{sure}"


def _known(shown: Shown, current: Waiting, now: datetime) -> Markup:
    link = tag("a", {"href": f"/questions/{quote(shown.trace, safe='')}"}, "how it went") if shown.trace else None
    vain = "once" if shown.attempts == 1 else f"{shown.attempts:,} times"
    return words.facts(
        ("Ticket", tag("code", None, short(current))),
        ("Model", shown.model),
        ("Asked at", f"{current.agent}, {units.ago(shown.created, now)}"),
        ("Best guess", shown.guess),
        ("Waits for", shown.waits),
        ("Asked again", f"{vain}, in vain" if shown.attempts else "not yet"),
        ("Expires", units.day(shown.expires) if shown.expires is not None else None),
        ("Question", link),
    )


def _input(shown: Shown) -> Markup:
    if shown.picture:
        alt = "The picture that was asked about"
        return tag("figure", None, tag("img", {"src": shown.picture, "alt": alt, "class": "desk-image"}))
    if shown.problem:
        return tag("p", {"class": "desk-missing quiet"}, f"Its input is not shown: {shown.problem}")
    if not shown.inputs:
        return tag("p", {"class": "desk-missing quiet"}, "Its agent shows no input.")
    return tag("div", {"class": "desk-missing"}, words.facts(*shown.inputs))


def _values(array: Array) -> str:
    flat = array.reshape(-1)
    told = ", ".join(_value(value) for value in flat[:MOST_VALUES].tolist())
    more = f" … {flat.size:,} in all" if flat.size > MOST_VALUES else ""
    return f"{told}{more}"


def _value(value: object) -> str:
    if isinstance(value, bytes):
        return value[:200].decode(errors="replace")
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:200]


def _labels(desk: Desk, current: Waiting) -> Markup:
    found = matching(current.labels, desk.typed) if desk.typed and not desk.label else list(current.labels)
    numbers = {label: place for place, label in enumerate(current.labels[:NUMBERED], 1)}
    if not is_numbered(current.labels):
        numbers = {}
    buttons = [_label(label, numbers.get(label), label == desk.label) for label in _first(found, desk.label)]
    more = len(found) - len(buttons)
    how = "1 to 9 or typing chooses" if numbers else "typing chooses"
    rest = tag("p", {"class": "quiet"}, f"{more:,} more labels: type how one begins.") if more > 0 else None
    sends: dict[str, str | bool] = {"type": "button", "class": "main-action", "data-act": "send"}
    back: dict[str, str | bool] = {"type": "button", "data-act": "back"}
    if not desk.label:
        sends["disabled"] = back["disabled"] = True
    return tag(
        "div",
        {"class": "desk-answer"},
        tag(
            "p",
            {"class": "quiet"},
            f"What is it? {how}, Enter sends, u takes the choice back, arrows change the ticket.",
        ),
        tag("div", {"class": "desk-labels", "role": "group", "aria-label": "Labels"}, *buttons),
        rest,
        tag(
            "p",
            {"class": "desk-send"},
            tag("button", sends, f"Send {desk.label}" if desk.label else "Send"),
            tag("button", back, "Take back"),
            tag("span", {"class": "quiet"}, "typed: ", tag("kbd", None, desk.typed)) if desk.typed else None,
        ),
    )


def _first(found: Sequence[str], label: str) -> list[str]:
    """As many as are shown, and what is chosen in any case."""
    shown = list(found[:MOST_LABELS])
    return shown if not label or label in shown else [*shown, label]


def _label(label: str, digit: int | None, is_chosen: bool) -> Markup:
    key: Child = tag("kbd", None, digit) if digit is not None else None
    attributes = {
        "type": "button",
        "class": "desk-label",
        "aria-pressed": "true" if is_chosen else "false",
        "data-act": "label",
        "data-value": label,
    }
    return tag("button", attributes, key, label)


def _unlabelled(shown: Shown, current: Waiting) -> Markup:
    return words.nothing(
        f"{shown.model} has no labels to choose from.",
        f"upriver tickets answer {short(current)} --agent HOST:PORT --outputs JSON",
        f"It answers with every output's content; HOST:PORT is where {current.agent} is called.",
    )


def _parsed(one: inbox_pb2.OpenTicket) -> Ticket | None:
    try:
        return parse_ticket(one.ticket)
    except UpriverError:  # an agent may have written anything; what can be told of it is
        return None
