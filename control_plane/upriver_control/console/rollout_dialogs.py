"""What people ask of rollouts: a dialog says what will happen, asks, and shows why the service refused, if it did."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from nicegui import ui

from upriver.errors import ProblemList, UpriverError
from upriver.v1 import fleet_pb2
from upriver.v1 import rollout_pb2 as pb
from upriver_control.console import words
from upriver_control.console.drawing import rollout_forms as drawing
from upriver_control.console.drawing.svg import Markup
from upriver_control.console.remote import Remote
from upriver_control.console.site import Part

CLICKED: Final = """(event) => {
  const asked = event.target.closest("[data-ask]");
  if (asked) emit(asked.dataset.ask, asked.dataset.name);
}"""
"""Tells which of a part's buttons was pressed, by what it says of itself."""
_SUBMITTED: Final = """(event) => {
  event.preventDefault();
  emit(Object.fromEntries(new FormData(event.target)));
}"""
_CHANGED: Final = "(event) => emit(Object.fromEntries(new FormData(event.target.form)))"
_LEFT: Final = '(event) => event.target.closest("[data-leave]") && emit()'
_AGENTS: Final = 1000
_ACTIONS: Final = {
    "PAUSE": pb.ROLLOUT_ACTION_PAUSE,
    "RESUME": pb.ROLLOUT_ACTION_RESUME,
    "CANCEL": pb.ROLLOUT_ACTION_CANCEL,
    "ROLL_BACK": pb.ROLLOUT_ACTION_ROLL_BACK,
}

Fields = Mapping[str, str]


class RolloutDialogs:
    """The dialogs of one page."""

    def __init__(self, remote: Remote) -> None:
        """To be made while the page is."""
        self._remote = remote
        self._confirmed: Callable[[Fields], Awaitable[Any]] | None = None
        self._look: Callable[[Fields], Awaitable[Markup]] | None = None
        with ui.dialog().props('aria-labelledby="dialog-title"') as self._dialog, ui.element("div").classes("dialog"):
            self._form = Part(ui.html("", sanitize=False))
            self._said = Part(ui.html("", sanitize=False).props('role="status"'))
            self._buttons = Part(ui.html("", sanitize=False))
        self._form.element.on("submit", self._submitted, js_handler=_SUBMITTED)
        self._form.element.on("change", self._changed, js_handler=_CHANGED)
        self._buttons.element.on("click", self._dialog.close, js_handler=_LEFT)

    def listen(self, part: Part) -> None:
        """Has the buttons of a part ask."""
        part.element.on("click", self._clicked, js_handler=CLICKED)

    async def _clicked(self, event: Any) -> None:
        asked, name = (str(one) for one in event.args)
        if asked == "START":
            await self._start(name)
        else:
            await self._ask(_ACTIONS[asked], name)

    async def _ask(self, action: "pb.RolloutAction", name: str) -> None:
        try:
            rollout = (await self._remote.rollouts.GetRollout(pb.GetRolloutRequest(name=name))).rollout
            agents = await self._moved(name)
        except UpriverError as error:
            self._show(drawing.refused(), words.problem(_said(error)))
            return
        self._confirmed, self._look = self._verbs(action, name), None
        self._show(drawing.question(rollout, action, agents))

    async def _start(self, version: str) -> None:
        request_id = uuid.uuid4().hex  # pressed twice, it is the same rollout

        async def start(fields: Fields) -> None:
            await self._remote.rollouts.CreateRollout(drawing.wanted(version, fields, request_id))

        async def look(fields: Fields) -> Markup:
            matching = fleet_pb2.ListAgentsRequest(selector=fields.get("selector", ""), page_size=1)
            strategy = drawing.wanted(version, fields, request_id).strategy
            return drawing.foreseen((await self._remote.fleet.ListAgents(matching)).total_size, strategy)

        self._confirmed, self._look = start, look
        self._show(drawing.start(version), await self._looked(drawing.DEFAULTS))

    def _verbs(self, action: "pb.RolloutAction", name: str) -> Callable[[Fields], Awaitable[Any]]:
        calls = self._remote.rollouts
        match action:
            case pb.ROLLOUT_ACTION_PAUSE:
                return lambda _: calls.PauseRollout(pb.PauseRolloutRequest(name=name))
            case pb.ROLLOUT_ACTION_RESUME:
                return lambda _: calls.ResumeRollout(pb.ResumeRolloutRequest(name=name))
            case pb.ROLLOUT_ACTION_CANCEL:
                return lambda _: calls.CancelRollout(pb.CancelRolloutRequest(name=name))
        return lambda fields: calls.RollBackRollout(
            pb.RollBackRolloutRequest(name=name, reason=fields.get("reason", ""))
        )

    async def _moved(self, name: str) -> list[str]:
        """The agents whose slot this rollout decides."""
        listed = await self._remote.fleet.ListAgents(fleet_pb2.ListAgentsRequest(page_size=_AGENTS))
        return [one.name for one in listed.agents if any(slot.rollout == name for slot in one.slots)]

    async def _submitted(self, event: Any) -> None:
        confirmed = self._confirmed
        if confirmed is None:
            return
        problem = None
        try:
            await confirmed({str(key): str(value) for key, value in event.args.items()})
        except UpriverError as error:
            problem = words.problem(_said(error))
        if self._confirmed is not confirmed:
            return  # meanwhile something else is asked, which has nothing to do with this
        if problem is not None:
            self._said.set(problem)
            return
        self._confirmed = None
        self._dialog.close()

    async def _changed(self, event: Any) -> None:
        if self._look is not None:
            self._said.set(await self._looked({str(key): str(value) for key, value in event.args.items()}))

    async def _looked(self, fields: Fields) -> Markup:
        if self._look is None:
            return Markup()
        try:
            return await self._look(fields)
        except UpriverError as error:
            return words.problem(_said(error))

    def _show(self, asking: drawing.Asking, said: Markup | None = None) -> None:
        self._form.set(asking.form)
        self._buttons.set(asking.buttons)
        self._said.set(said or Markup())
        self._dialog.open()


def _said(error: UpriverError) -> str:
    return "; ".join(error.problems) if isinstance(error, ProblemList) else str(error)
