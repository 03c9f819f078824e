"""The part of *Learning* where tickets that wait for a person are labelled, by keyboard or pointer."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from nicegui import events, ui

from upriver.errors import UpriverError
from upriver.v1 import inbox_pb2 as pb
from upriver_control.console import labelling
from upriver_control.console.drawing import desk
from upriver_control.console.drawing.svg import Markup, tag
from upriver_control.console.feeds import Feed
from upriver_control.console.labelling import Choice, Desk, Waiting
from upriver_control.console.pictures import Pictures
from upriver_control.console.site import Frame, Site

PAGE: Final = 20
EVERY_S: Final = 0.5
_LONGEST_S: Final = 10.0
_SHARE: Final = 0.1
"""Of the time that may be spent on asking: all agents are, so a large mesh is asked less often."""
_SEND_S: Final = 15.0
_MISSING_S: Final = 15.0
"""How often inputs are asked for again: an agent that could not be asked may be back, or a picture had to make room."""
_KEYS: Final = """(e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
  if (e.target.closest('a, button, summary') && (e.key === 'Enter' || e.key === ' ')) return;
  const named = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Home', 'End', 'Enter', 'Escape', 'Backspace'];
  if (e.key.length !== 1 && !named.includes(e.key)) return;
  e.preventDefault();
  e.stopPropagation();
  emit(e.key);
}"""
_POINTED: Final = """(e) => {
  const at = e.target.closest('[data-act]');
  if (!at || at.disabled) return;
  emit(at.dataset.act, at.dataset.value ?? '');
  document.querySelector('[data-desk]')?.focus({ preventScroll: true });
}"""
_FOCUS: Final = """(() => {
  const desk = document.querySelector('[data-desk]');
  if (desk?.checkVisibility() && document.activeElement === document.body) desk.focus({ preventScroll: true });
})()"""


_IN_SIGHT: Final = """requestAnimationFrame(() => requestAnimationFrame(() =>
  document.querySelector('[data-ticket][aria-current]')?.scrollIntoView({ block: 'nearest' })))"""


@dataclass(frozen=True, slots=True)
class Inbox:
    """What waits, in order; `notes` is the same without tickets: whether there are more, and who could not be asked."""

    waiting: tuple[Waiting, ...]
    tickets: desk.Tickets
    notes: pb.ListOpenTicketsResponse


def feed(site: Site, shelf: desk.Shelf, pictures: Pictures) -> Feed[Inbox]:
    """What waits, of one model or all, from a place on; all who look share it."""
    name = f"tickets of {shelf.model} behind {shelf.after}"
    return site.feed(name, lambda: Feed(lambda: _news(site, shelf, pictures)))


async def _news(site: Site, shelf: desk.Shelf, pictures: Pictures) -> AsyncIterator[Inbox]:
    """Asks again and again; for inputs when there is a ticket that was not shown before, or seldom, one without."""
    known: dict[tuple[str, str], desk.Shown] = {}
    inputs_at = -_MISSING_S
    while True:
        begun = time.monotonic()
        missing = any(one.problem or not pictures.has(one.picture) for one in known.values())
        request = pb.ListOpenTicketsRequest(model=shelf.model, page_token=shelf.after, page_size=PAGE)
        told = await site.remote.inbox.ListOpenTickets(request)
        new = not known.keys() >= {_key(one) for one in told.tickets}
        if new or (missing and begun - inputs_at >= _MISSING_S):
            inputs_at = begun
            request.include_input = True
            told = await site.remote.inbox.ListOpenTickets(request)
            known = {_key(one): desk.shown_of(one, pictures.put(one.png)) for one in told.tickets}
        else:
            known = {_key(one): replace(known[_key(one)], attempts=one.ticket.attempts) for one in told.tickets}
        waiting = tuple(Waiting(one.agent, one.ticket.name, tuple(one.labels)) for one in told.tickets)
        told.ClearField("tickets")
        yield Inbox(waiting, known, told)
        took_s = time.monotonic() - begun
        await asyncio.sleep(min(_LONGEST_S, max(EVERY_S, took_s / _SHARE - took_s)))


class Section:
    """The desk of one open page."""

    def __init__(self, site: Site, frame: Frame, shelf: desk.Shelf) -> None:
        self._site, self._shelf = site, shelf
        self._desk = Desk()
        self._inbox: Inbox | None = None
        with ui.element("section").props('aria-labelledby="waiting"').classes("card desk") as whole:
            frame.part(tag("h2", {"id": "waiting"}, "Waiting for a person"))
            with ui.element("div").classes("desk-room"):
                self._list = frame.part(classes="desk-list")
                self._list.element.props('role="listbox" tabindex="0" data-desk aria-label="Tickets that wait"')
                self._detail = frame.part(tag("p", {"class": "quiet"}, "No news of tickets yet."), "desk-detail")
            self._said = frame.part(classes="desk-said")
            self._said.element.props('role="status"')
            self._notes = frame.part()
        whole.on("keydown", self._pressed, js_handler=_KEYS)
        whole.on("click", self._pointed, js_handler=_POINTED)
        self._list.element.set_visibility(False)
        ui.context.client.on_connect(lambda: ui.run_javascript(_FOCUS))

    def show(self, inbox: Inbox) -> None:
        """News of what waits."""
        self._inbox = inbox
        self._desk = labelling.arrived(self._desk, inbox.waiting)
        self._draw()

    def _draw(self) -> None:
        inbox, now, current = self._inbox, datetime.now(UTC), self._desk.current
        if inbox is None:
            return
        box = self._list.element
        at = "" if current is None else desk.id_of(current)
        if box.props.get("aria-activedescendant", "") != at:
            box.props["aria-activedescendant"] = at
            box.update()
        box.set_visibility(current is not None)
        self._list.set(desk.options(self._desk, inbox.tickets, now))
        nothing = desk.empty(inbox.notes.unreachable, self._shelf.after)
        self._detail.set(desk.detail(self._desk, inbox.tickets, now) if current is not None else nothing)
        self._said.set(tag("p", None, self._desk.said) if self._desk.said else Markup())
        self._notes.set(desk.notes(inbox.notes, len(inbox.waiting), self._shelf))

    async def _pressed(self, event: events.GenericEventArguments) -> None:
        await self._do(*labelling.press(self._desk, str(event.args)[:20]))

    async def _pointed(self, event: events.GenericEventArguments) -> None:
        act, value = (str(one) for one in event.args)
        now, choice = self._desk, None
        match act:
            case "look":
                places = [place for place, one in enumerate(now.tickets) if desk.id_of(one) == value]
                now = labelling.look_at(now, places[0]) if places else now
            case "label":
                now = labelling.chosen(now, value)
            case "back":
                now = labelling.taken_back(now)
            case "send":
                now, choice = labelling.press(now, labelling.ENTER)
        await self._do(now, choice)

    async def _do(self, now: Desk, choice: Choice | None) -> None:
        before, self._desk = self._desk.current, now
        self._draw()
        if now.current is not None and now.current != before:
            ui.run_javascript(_IN_SIGHT)
        if choice is None:
            return
        ticket, label = choice
        request = pb.AnswerOpenTicketRequest(agent=ticket.agent, name=ticket.name, label=label)
        try:
            await self._site.remote.inbox.AnswerOpenTicket(request, timeout_s=_SEND_S)
        except UpriverError as error:
            self._desk = labelling.failed(self._desk, choice, str(error))
        else:
            self._desk = labelling.kept(self._desk, choice)
        self._draw()


def _key(one: pb.OpenTicket) -> tuple[str, str]:
    return one.agent, one.ticket.name
